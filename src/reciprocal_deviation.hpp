#pragma once

#include "xbn/batch_norm.hpp"

namespace xbn {

// Internal linkage, although this is a header: it is included by sources compiled for different instruction sets, and
// of an inline function the linker would keep one copy, perhaps one that this machine cannot run.
namespace {

/// 1 / sqrt(variance + epsilon) or 1 / (sqrt(variance) + epsilon); 0 where that deviation is 0, NaN where the variance
/// is negative. Selects and no branches, so that loops over channels vectorise.
[[maybe_unused]] inline double reciprocal_deviation(double variance, double epsilon, EpsilonPlacement placement) {
  const bool inside = placement == EpsilonPlacement::inside_root;
  const double radicand = variance < 0 ? __builtin_nan("") : variance + (inside ? epsilon : 0.0);
  const double deviation = __builtin_sqrt(radicand) + (inside ? 0.0 : epsilon);
  return 1.0 / (deviation == 0 ? __builtin_inf() : deviation);
}

}  // namespace
}  // namespace xbn
