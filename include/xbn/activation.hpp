#pragma once

/// What may follow the normalisation: y = f(z), z = gamma * (x - mean) / sqrt(variance + epsilon) + beta, plus a
/// residual if there is one.

#include <string_view>

namespace xbn {

enum class ActivationKind {
  none,          ///< z
  relu,          ///< max(z, 0)
  leaky_relu,    ///< z where z > 0, slope * z elsewhere
  clipped_relu,  ///< min(max(z, 0), bound); ReLU6 with a bound of 6
  sigmoid,       ///< 1 / (1 + exp(-z))
  tanh,          ///< tanh(z)
  silu,          ///< z / (1 + exp(-z)), also called swish
};

/// The enumerator's own name, such as "leaky_relu".
std::string_view name(ActivationKind kind);

/// An activation and its parameter. A NaN in z is a NaN in y, whichever the activation. Derivatives are 0 where ReLU's z
/// is <= 0 and 1 where it is NaN; leaky ReLU's is the slope where z <= 0; clipped ReLU's is 1 where 0 < z < bound.
struct Activation {
  ActivationKind kind = ActivationKind::none;
  float slope = 0.01F;  ///< of leaky_relu: finite
  float bound = 6.0F;   ///< of clipped_relu: finite, > 0

  static Activation relu() { return {ActivationKind::relu}; }
  static Activation leaky_relu(float slope = 0.01F) { return {ActivationKind::leaky_relu, slope}; }
  static Activation clipped_relu(float bound = 6.0F) { return {ActivationKind::clipped_relu, 0.01F, bound}; }
  static Activation sigmoid() { return {ActivationKind::sigmoid}; }
  static Activation tanh() { return {ActivationKind::tanh}; }
  static Activation silu() { return {ActivationKind::silu}; }
};

}  // namespace xbn
