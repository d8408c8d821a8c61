#pragma once

// Batch normalization by its definition, in double, and the scale of which the contract allows so many ulp. It shares
// no code with the library.

#include <cstdint>
#include <vector>

#include "xbn/batch_norm.hpp"

namespace xbn::test {

using Values = std::vector<float>;
using Doubles = std::vector<double>;

/// Values of a tensor stand in the order batch, channel, position, whatever its layout in memory.
struct Shape {
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t spatial = 0;

  std::int64_t count() const { return batch * spatial; }
  std::int64_t elements() const { return batch * channels * spatial; }
};

/// What a result must be, and for each element the s in "k ulp of s", where one ulp of s is 2^-23 * s.
struct Expected {
  Doubles value;
  Doubles scale;
};

/// Where epsilon is, and what it is.
struct Epsilon {
  double value = 1e-5;
  EpsilonPlacement placement = EpsilonPlacement::inside_root;
};

struct ChannelStatistics {
  Doubles mean;
  Doubles variance;
};

/// Empty: null in the library's call, so all ones and all zeros.
struct Parameters {
  Values gamma;
  Values beta;
};

Doubles widened(const Values& values);

/// Mean and population variance of each channel, in two passes.
ChannelStatistics batch_statistics(const Shape& shape, const Doubles& x);

/// max(1, kappa / 1000), the factor by which the bounds of training may grow; 1 where sigma is 0.
double kappa_factor(double mean, double variance);

Expected expected_mean(const ChannelStatistics& batch);
Expected expected_variance(const ChannelStatistics& batch);

double reciprocal_deviation(double variance, const Epsilon& epsilon);

/// gamma * (x - mean) * reciprocal_deviation + beta, with the scale max(|y|, |beta|, |gamma|).
Expected normalised(const Shape& shape, const Doubles& x, const ChannelStatistics& statistics,
                    const Parameters& parameters, const Epsilon& epsilon);

/// The same where the statistics are the batch's own: the scale takes in kappa_factor.
Expected normalised_by_batch(const Shape& shape, const Doubles& x, const ChannelStatistics& batch,
                             const Parameters& parameters, const Epsilon& epsilon);

struct ExpectedGradients {
  Expected dx;
  Expected dgamma;
  Expected dbeta;
};

ExpectedGradients gradients(const Shape& shape, Statistics statistics, const Doubles& x, const Doubles& dy,
                            const Values& gamma, const ChannelStatistics& channel_statistics, const Epsilon& epsilon);

}  // namespace xbn::test
