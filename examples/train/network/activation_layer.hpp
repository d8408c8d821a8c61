#pragma once

#include <xbn/activation.hpp>

#include "network/layer.hpp"

namespace train {

/// The activation of a network without batch norm.
class ActivationLayer : public Layer {
 public:
  explicit ActivationLayer(const xbn::Activation& activation) : activation_(activation) {}

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;

 private:
  xbn::Activation activation_;
  Values y_{};
  Values dx_{};
};

}  // namespace train
