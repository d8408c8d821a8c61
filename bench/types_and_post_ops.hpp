#pragma once

/// Data types and what is fused into a batch normalization, under the names and values of benchdnn's knobs.

#include <string>
#include <string_view>
#include <vector>

#include <xbn/activation.hpp>
#include <xbn/types.hpp>

namespace bench {

struct Types {
  xbn::DataType source = xbn::DataType::f32;       ///< of x and dx
  xbn::DataType destination = xbn::DataType::f32;  ///< of y, dy, residual and d_residual

  bool operator==(const Types&) const = default;
  bool integers() const;
  /// Of gamma, beta, statistics and their gradients: f64 with f64 tensors, else f32.
  xbn::DataType parameters() const;
};

/// An element-wise operation after the normalization.
struct PostOp {
  xbn::ActivationKind kind = xbn::ActivationKind::none;
  float parameter = 0;  ///< leaky ReLU's slope, clipped ReLU's bound

  bool operator==(const PostOp&) const = default;
};

xbn::Activation activation(const PostOp& post_op);

/// "bf16", or "f32:bf16" where source and destination differ.
std::string text(const Types& types);
/// As --attr-post-ops has it: "relu:0.1"; empty for none.
std::string text(const PostOp& post_op);

/// Values of the knobs: comma-separated lists. Throw ParseError.
std::vector<Types> parse_data_types(std::string_view origin, std::string_view list);
/// relu[:alpha], logistic, tanh, swish[:1], clip[:0[:beta]]; an empty item is none.
std::vector<PostOp> parse_post_ops(std::string_view origin, std::string_view list);

}  // namespace bench
