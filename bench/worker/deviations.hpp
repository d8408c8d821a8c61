#pragma once

/// How far a contender's outputs are from the reference.

#include <string_view>
#include <vector>

#include "reference.hpp"

namespace bench {

/// The largest error of one output. An ulp is one of the output's type, at the magnitude s that docs/design.md's
/// contract names for the output: max(|y|, |beta|, |gamma|) for y, and so on; of an integer it is 1.
struct Deviation {
  std::string_view output;  ///< y, mask, mean, variance, dx, d_residual, dgamma or dbeta
  double ulp;
  double relative;  ///< the error as a fraction of the channel's largest |reference|, where that is not 0
  double of_bound;  ///< the error as a fraction of what xbn promises; above 1 is a miss
};

/// One entry for each output of the case. The variance is held to the contract's tighter bound, that for ordinary data.
/// A NaN counts as infinitely wrong, and so does a pad lane that is not zero. `mask` is one of xbn's, or null.
std::vector<Deviation> deviations(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                                  const Reference& reference, const std::uint8_t* mask);

/// Sets tensors.passed from tensors.y.
void note_what_passed(const Geometry& geometry, const Tensors& tensors);

}  // namespace bench
