#include "xbn/activation.hpp"

#include <cmath>
#include <string>

#include "errors.hpp"
#include "isa.hpp"
#include "kernels/kernel_table.hpp"
#include "validate_activation.hpp"

namespace xbn {
namespace {

using internal::reject;
using internal::to_text;

void require_array(const char* argument, const void* data, std::int64_t count) {
  if (count > 0 && data == nullptr) reject(argument, "not be null", "null");
}

void require_arrays(const Activation& activation, DataType type, std::int64_t count) {
  internal::validate(activation, "activation");
  if (type != DataType::f32 && type != DataType::f64) reject("type", "be f32 or f64", name(type));
  if (count < 0) reject("count", "be at least 0", to_text(count));
}

}  // namespace

std::string_view name(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::none:
      return "none";
    case ActivationKind::relu:
      return "relu";
    case ActivationKind::leaky_relu:
      return "leaky_relu";
    case ActivationKind::clipped_relu:
      return "clipped_relu";
    case ActivationKind::sigmoid:
      return "sigmoid";
    case ActivationKind::tanh:
      return "tanh";
    case ActivationKind::silu:
      return "silu";
  }
  reject("kind", "be one of none, relu, leaky_relu, clipped_relu, sigmoid, tanh, silu",
         to_text(static_cast<std::int64_t>(kind)));
}

namespace internal {

void validate(const Activation& activation, std::string_view argument) {
  const auto member = [&](const char* its_name) { return std::string(argument).append(".").append(its_name); };
  if (activation.kind < ActivationKind::none || activation.kind > ActivationKind::silu) {
    reject(member("kind"), "be one of none, relu, leaky_relu, clipped_relu, sigmoid, tanh, silu",
           to_text(static_cast<std::int64_t>(activation.kind)));
  }
  if (activation.kind == ActivationKind::leaky_relu && !std::isfinite(activation.slope)) {
    reject(member("slope"), "be finite", to_text(double{activation.slope}));
  }
  if (activation.kind == ActivationKind::clipped_relu && !(std::isfinite(activation.bound) && activation.bound > 0)) {
    reject(member("bound"), "be finite and greater than 0", to_text(double{activation.bound}));
  }
}

}  // namespace internal

void apply_activation(const Activation& activation, DataType type, const void* z, void* y, std::int64_t count) {
  require_arrays(activation, type, count);
  require_array("z", z, count);
  require_array("y", y, count);
  internal::kernel_table(current_isa()).activate(activation, type, z, y, count);
}

void activation_gradient(const Activation& activation, DataType type, const void* z, const void* dy, void* dz,
                         std::int64_t count) {
  require_arrays(activation, type, count);
  require_array("z", z, count);
  require_array("dy", dy, count);
  require_array("dz", dz, count);
  internal::kernel_table(current_isa()).activation_gradient(activation, type, z, dy, dz, count);
}

}  // namespace xbn
