#include "network/activation_layer.hpp"

namespace train {

const Values& ActivationLayer::forward(const Values& x, std::int64_t, Mode) {
  y_.resize(x.size());
  xbn::apply_activation(activation_, xbn::DataType::f32, x.data(), y_.data(), static_cast<std::int64_t>(x.size()));
  return y_;
}

const Values& ActivationLayer::backward(const Values& x, const Values& dy) {
  dx_.resize(x.size());
  xbn::activation_gradient(activation_, xbn::DataType::f32, x.data(), dy.data(), dx_.data(),
                           static_cast<std::int64_t>(x.size()));
  return dx_;
}

}  // namespace train
