#pragma once

// Fused batch normalization by its definition, in long double with sums in quadruple precision, and how far the
// contract allows a result to be off. It shares no code with the library.

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "reference.hpp"

namespace xbn::test {

using Reals = std::vector<long double>;

/// What results must be, and by how much each may be off before it is rounded to the type that holds it.
struct Bounded {
  Reals value;
  Reals allowed;
};

/// Arguments of calls, as their types hold them; tensors in the order batch, channel, position. Empty: null.
struct FusedInputs {
  Doubles x;
  Doubles residual;
  Doubles dy;
  Doubles y;
  Doubles gamma;
  Doubles beta;
  Doubles mean;
  Doubles variance;
  std::vector<std::int64_t> lengths;
  Doubles weights;
};

Shape shape_of(const Problem& problem);
std::string to_string(const Problem& problem);

/// 2^-23, or 2^-52 where the problem is of f64.
long double ulp_of(const Problem& problem);

/// Whether position s of sample n is within its length.
bool is_valid(const FusedInputs& in, std::int64_t n, std::int64_t s);

long double activated(const Activation& activation, long double z);
long double derivative(const Activation& activation, long double z);

struct FusedStatistics {
  Reals mean;
  Reals variance;
  long double weight = 0;  ///< the sum of all elements' weights
  std::int64_t count = 0;  ///< elements a channel
};

FusedStatistics statistics_of(const Problem& problem, const FusedInputs& in);

Bounded bounded_mean(const Problem& problem, const FusedStatistics& of);
Bounded bounded_variance(const Problem& problem, const FusedStatistics& of);

/// The pre-activation, residual included, with the given statistics; 0 where there is no element.
Bounded pre_activation(const Problem& problem, const FusedInputs& in, const FusedStatistics& of);

/// What becomes of it, before it is rounded to the destination.
Bounded forward_of(const Problem& problem, const FusedInputs& in, const Bounded& z);

struct FusedGradients {
  Bounded dx;
  Bounded dgamma;
  Bounded dbeta;
  Bounded d_residual;
};

/// With batch statistics or given ones: `of` is exact for the former, what the call is given for the latter.
FusedGradients gradients_of(const Problem& problem, Statistics statistics, const FusedInputs& in,
                            const FusedStatistics& of);

/// The same from in.y, of which no element may be one that the activation never takes.
FusedGradients gradients_of_output(const Problem& problem, Statistics statistics, const FusedInputs& in,
                                   const FusedStatistics& of);

/// Elements of each channel that count as saturated.
std::vector<std::int64_t> saturated_of(const Problem& problem, const FusedInputs& in);

/// Each actual value is that of the type which a value within the bounds rounds to; NaN where NaN is expected.
testing::AssertionResult within_bounds(DataType type, const Doubles& actual, const Bounded& expected);

}  // namespace xbn::test
