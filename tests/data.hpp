#pragma once

// Data for the tests: always the same for the same arguments.

#include <cstdint>
#include <vector>

#include "reference.hpp"

namespace xbn::test {

enum class Data {
  exact,        ///< pairs mean +- k: sums, means and variances are exact in any order of summation.
  normal,       ///< another mean and deviation in each channel
  uniform,      ///< [0, 1)
  two_valued,   ///< one value three times as often as the other
  plus_minus,   ///< one magnitude, random signs
  clipped,      ///< a normal distribution's positive part: what a ReLU leaves
  pixels,       ///< integers from 0 to 255
  kappa_100,    ///< normal, |mean| = 100 sigma
  kappa_1000,   ///< normal, |mean| = 1000 sigma
  kappa_10000,  ///< normal, |mean| = 10000 sigma
  outliers,     ///< normal, and now and then a value a thousand times as large
  constant,     ///< one value a channel
  tiny,         ///< normal times 1e-30: squares vanish in float
  huge,         ///< normal times 1e30: squares overflow in float
};

const char* name(Data data);

/// Data on which the variance is promised to 4 ulp, rather than to 10.
bool is_ordinary(Data data);

const std::vector<Data>& every_data();

Values generate(Data data, const Shape& shape, std::uint64_t seed = 1);

/// Multiples of 1/4 from -2 to 2: sums of them and of their products with Data::exact are exact in any order.
Values exact_gradients(const Shape& shape, std::uint64_t seed = 1);

/// Gradients with a mean, and a part along x, so that dx is what cancellation leaves.
Values correlated_gradients(const Shape& shape, const Values& x, std::uint64_t seed = 1);

/// One value a channel, from `low` to `high`.
Values per_channel(std::int64_t channels, float low, float high, std::uint64_t seed = 1);

/// gamma of either sign and beta, for each channel.
Parameters random_parameters(std::int64_t channels, std::uint64_t seed = 1);

}  // namespace xbn::test
