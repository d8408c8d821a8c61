#pragma once

/// What may follow the normalisation: y = f(z), z = gamma * (x - mean) / sqrt(variance + epsilon) + beta, plus a
/// residual if there is one.

#include <cstdint>
#include <string_view>

#include "xbn/types.hpp"

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

/// An activation and its parameter. A NaN in z is a NaN in y, whichever the activation. Derivatives are 0 where ReLU's
/// z is <= 0; the slope where leaky ReLU's is; 0 where clipped ReLU's is, or is >= bound; else, and for NaN, these have
/// 1. A gradient times a derivative of 0 that one of these has is 0, even if it is infinite or NaN.
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

/// y = f(z) of `count` elements of type f32 or f64; y may be z. Sigmoid, tanh and SiLU are within 4 units in the last
/// place of f(z), or of the least normal number where that is more. Results are equal bit by bit on every instruction
/// set with fused multiply-add.
void apply_activation(const Activation& activation, DataType type, const void* z, void* y, std::int64_t count);

/// dz = dy * f'(z), likewise; dz may be z or dy.
void activation_gradient(const Activation& activation, DataType type, const void* z, const void* dy, void* dz,
                         std::int64_t count);

}  // namespace xbn
