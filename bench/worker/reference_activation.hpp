#pragma once

/// Activations and their derivatives in double or long double, and how far a derivative may be off because its argument
/// is.

#include <algorithm>
#include <cmath>

#include <xbn/activation.hpp>

namespace bench {

template <class Wide>
class ReferenceActivation {
 public:
  explicit ReferenceActivation(const xbn::Activation& activation)
      : kind_(activation.kind), slope_(activation.slope), bound_(activation.bound) {}

  Wide value(Wide z) const {
    using enum xbn::ActivationKind;
    switch (kind_) {
      case none:
        return z;
      case relu:
        return std::max(z, Wide{0});
      case leaky_relu:
        return z > 0 ? z : slope_ * z;
      case clipped_relu:
        return std::min(std::max(z, Wide{0}), bound_);
      case sigmoid:
        return sigmoid_of(z);
      case tanh:
        return std::tanh(z);
      case silu:
        break;
    }
    return z * sigmoid_of(z);
  }

  Wide derivative(Wide z) const {
    using enum xbn::ActivationKind;
    switch (kind_) {
      case none:
        return 1;
      case relu:
        return z > 0 ? 1 : 0;
      case leaky_relu:
        return z > 0 ? 1 : slope_;
      case clipped_relu:
        return z > 0 && z < bound_ ? 1 : 0;
      case sigmoid:
        return sigmoid_of(z) * sigmoid_of(-z);
      case tanh: {
        const Wide reciprocal = 1 / std::cosh(z);
        return reciprocal * reciprocal;
      }
      case silu:
        break;
    }
    return sigmoid_of(z) * (1 + z * sigmoid_of(-z));
  }

  /// The most by which a value moves where z moves by 1.
  Wide steepness() const {
    using enum xbn::ActivationKind;
    return kind_ == leaky_relu ? std::max(Wide{1}, std::abs(slope_))
           : kind_ == sigmoid  ? 0.25
           : kind_ == silu     ? 1.1
                               : 1;
  }

  bool transcendental() const { return kind_ >= xbn::ActivationKind::sigmoid; }

  /// The most by which the derivative at a z that is off by `error` may differ from that at z: the whole step where
  /// that is near one, else what the curvature makes.
  Wide uncertainty(Wide z, Wide error) const {
    using enum xbn::ActivationKind;
    switch (kind_) {
      case none:
        return 0;
      case relu:
        return std::abs(z) <= error ? 1 : 0;
      case leaky_relu:
        return std::abs(z) <= error ? std::abs(1 - slope_) : 0;
      case clipped_relu:
        return std::abs(z) <= error || std::abs(z - bound_) <= error ? 1 : 0;
      case sigmoid:
        return error * 0.1;
      case tanh:
        return error * 0.77;
      case silu:
        break;
    }
    return error * 0.5;
  }

 private:
  static Wide sigmoid_of(Wide z) { return 1 / (1 + std::exp(-z)); }

  xbn::ActivationKind kind_;
  Wide slope_;
  Wide bound_;
};

}  // namespace bench
