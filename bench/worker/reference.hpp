#pragma once

/// Batch normalization in double, in two passes, and how far a contender's outputs are from it.

#include <string_view>
#include <vector>

#include "tensors.hpp"

namespace bench {

/// Of a batch; a value for each padded channel.
struct Statistics {
  std::vector<double> mean{};
  std::vector<double> variance{};
};

Statistics batch_statistics(const Geometry& geometry, const float* x);

/// What the elements of a case's outputs are computed from, channel by channel.
struct Reference {
  Statistics statistics{};
  std::vector<double> reciprocal_deviation{};
  std::vector<double> scale{};
  std::vector<double> sum_dy{};  ///< this and the following: backward only
  std::vector<double> sum_abs_dy{};
  std::vector<double> sum_dy_xhat{};
  std::vector<double> sum_abs_dy_xhat{};
};

/// `batch` are the statistics of x. A case with given statistics takes those of `tensors` instead, which are then exact
/// by definition.
Reference reference_of(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                       const Statistics& batch);

/// The largest error of one output. An ulp is 2^-23 of the magnitude s that docs/design.md's contract names for the
/// output: max(|y|, |beta|, |gamma|) for y, and so on.
struct Deviation {
  std::string_view output;  ///< y, mean, variance, dx, dgamma or dbeta
  double ulp;
  double relative;  ///< the error as a fraction of the channel's largest |reference|, where that is not 0
  double of_bound;  ///< the error as a fraction of what xbn promises; above 1 is a miss
};

/// One entry for each output of the case. The variance is held to the contract's tighter bound, that for ordinary data.
/// A NaN counts as infinitely wrong, and so does a pad lane that is not zero.
std::vector<Deviation> deviations(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                                  const Reference& reference);

}  // namespace bench
