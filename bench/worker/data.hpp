#pragma once

/// What the tensors are filled with.

#include <array>
#include <string_view>

#include "tensors.hpp"

namespace bench {

enum class Data {
  exact,       ///< mean, variance and gradient sums are exact in f32 in any order of summation (to 4e6 elements)
  normal,      ///< normal, sigma 0.5 to 2, |mean| up to 2
  offset,      ///< normal, |mean| a thousand times sigma
  two_valued,  ///< +-a
  constant,    ///< one value a channel
  clipped,     ///< normal, what is negative made 0
  sparse,      ///< normal, its mean three sigma below 0, what is negative made 0
  huge,        ///< normal, times 2^50; 2^11 in f16
  tiny,        ///< normal, times 2^-60; 2^-12 in f16
};

/// Those on which accuracy is measured.
inline constexpr std::array random_and_adversarial{Data::normal,  Data::offset, Data::two_valued, Data::constant,
                                                   Data::clipped, Data::sparse, Data::huge,       Data::tiny};

std::string_view name(Data data);

/// Fill a tensor, its pad lanes with zeros, with values rounded to its type. The same for any number of threads.
void fill_x(Data data, const Geometry& geometry, const Tensor& x);
void fill_dy(Data data, const Geometry& geometry, const Tensor& dy);
void fill_residual(const Geometry& geometry, const Tensor& residual);

/// Fills gamma and beta; with ones and zeros where the case has none.
void fill_parameters(const Case& test_case, const Geometry& geometry, const Tensors& tensors);

}  // namespace bench
