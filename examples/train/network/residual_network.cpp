#include "network/residual_network.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "network/linear.hpp"

namespace train {
namespace {

NormSettings norm_of(const ImageShape& shape, bool residual = false) {
  NormSettings norm;
  norm.channels = shape.channels;
  norm.layout = shape.layout;
  norm.spatial = shape.positions();
  norm.activation = xbn::Activation::relu();
  norm.residual = residual;
  return norm;
}

}  // namespace

ResidualBlock::ResidualBlock(const ImageShape& shape, Random& random)
    : first_(shape, shape.channels, random),
      first_norm_(norm_of(shape)),
      second_(shape, shape.channels, random),
      second_norm_(norm_of(shape, true)) {}

const Values& ResidualBlock::forward(const Values& x, std::int64_t batch, Mode mode) {
  convolved_ = &first_.forward(x, batch, mode);
  activated_ = &first_norm_.forward(*convolved_, batch, mode);
  convolved_again_ = &second_.forward(*activated_, batch, mode);
  return second_norm_.forward(*convolved_again_, x, batch, mode);
}

const Values& ResidualBlock::backward(const Values& x, const Values& dy) {
  const Values& dconvolved_again = second_norm_.backward(*convolved_again_, dy);
  const Values& dactivated = second_.backward(*activated_, dconvolved_again);
  const Values& dconvolved = first_norm_.backward(*convolved_, dactivated);
  dx_ = first_.backward(x, dconvolved);
  std::transform(dx_.begin(), dx_.end(), second_norm_.residual_gradient().begin(), dx_.begin(), std::plus<>());
  return dx_;
}

void ResidualBlock::append_parameters(std::vector<Parameter*>& parameters) {
  first_.append_parameters(parameters);
  first_norm_.append_parameters(parameters);
  second_.append_parameters(parameters);
  second_norm_.append_parameters(parameters);
}

ResidualNetwork::ResidualNetwork(const ResidualNetworkSettings& settings) {
  Random random(settings.seed);
  const ImageShape shape = add<Convolution>(settings.image, settings.channels, random).output_shape();
  add<NormLayer>(norm_of(shape));
  for (int block = 0; block < settings.blocks; ++block) add<ResidualBlock>(shape, random);
  add<AveragePool>(shape);
  add<Linear>(settings.channels, std::int64_t{settings.classes}, true,
              std::sqrt(1.0 / static_cast<double>(settings.channels)), random);
}

}  // namespace train
