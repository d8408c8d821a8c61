#include "prepared_data.hpp"

namespace bench {

Tensors PreparedData::prepare(const Case& test_case, Data data) {
  const Geometry geometry = geometry_of(test_case);
  const Tensors tensors = memory_.tensors_for(test_case);
  // Whether a tensor has to be filled; it then counts as filled.
  const auto is_new = [&](std::optional<Content>& content, const Tensor& tensor) {
    const Content wanted{geometry, tensor.type, data, memory_.generation()};
    if (tensor.data == nullptr || content == wanted) return false;
    content = wanted;
    return true;
  };
  if (is_new(content_of_x_, tensors.x)) {
    fill_x(data, geometry, tensors.x);
    statistics_ = batch_statistics(geometry, tensors.x);
  }
  if (is_new(content_of_dy_, tensors.dy)) fill_dy(data, geometry, tensors.dy);
  if (is_new(content_of_residual_, tensors.residual)) fill_residual(geometry, tensors.residual);
  fill_parameters(test_case, geometry, tensors);
  for (std::size_t c = 0; c < statistics_.mean.size(); ++c) {
    tensors.mean.set(static_cast<std::int64_t>(c), static_cast<double>(statistics_.mean[c]));
    tensors.variance.set(static_cast<std::int64_t>(c), static_cast<double>(statistics_.variance[c]));
  }
  return tensors;
}

std::vector<Deviation> PreparedData::deviations_of(Contender& contender, const Case& test_case,
                                                   const Tensors& tensors) const {
  const Geometry geometry = geometry_of(test_case);
  if (reads_mask(test_case)) {
    contender.write_mask();
    note_what_passed(geometry, tensors);
  }
  const Reference reference = reference_of(test_case, geometry, tensors, statistics_);
  poison_outputs(test_case, geometry, tensors);
  contender.run();
  return deviations(test_case, geometry, tensors, reference, contender.mask());
}

}  // namespace bench
