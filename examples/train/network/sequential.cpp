#include "network/sequential.hpp"

namespace train {

const Values& Sequential::forward(const Values& x, std::int64_t batch, Mode mode) {
  inputs_.clear();
  const Values* values = &x;
  for (const auto& layer : layers_) {
    inputs_.push_back(values);
    values = &layer->forward(*values, batch, mode);
  }
  return *values;
}

const Values& Sequential::backward(const Values&, const Values& dy) {
  const Values* gradient = &dy;
  for (std::size_t i = layers_.size(); i-- > 0;) gradient = &layers_[i]->backward(*inputs_[i], *gradient);
  return *gradient;
}

void Sequential::append_parameters(std::vector<Parameter*>& parameters) {
  for (const auto& layer : layers_) layer->append_parameters(parameters);
}

}  // namespace train
