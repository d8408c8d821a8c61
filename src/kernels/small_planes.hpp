#pragma once

// Small planes: a plane is a row, and each position of it has a sum of its own down the images, so that neither tails
// nor the ends of blocks show. Planes that lie side by side make one row. The sum of a channel is that of its
// positions.

#include "kernels/kernel_table.hpp"
#include "kernels/simd_extras.hpp"

namespace xbn::kernels {
namespace {

// The sums of positions cost something themselves, which the planes must be worth: the longer, the more of them.
inline bool summed_by_positions(Index length, Index images) {
  constexpr Index kFewImages = 4;
  if (length <= kLanes) return true;
  return images >= (length < 4 * kLanes ? kFewImages : kBlockRows) && length < kSmallPlane;
}

// Of 16 lanes, by halves, whatever the registers' width.
template <class Wide>
inline double sum_of_lanes(const Wide& wide) {
  if constexpr (requires { wide.low; }) {
    return sum_of_lanes(wide.low + wide.high);
  } else {
    constexpr Index kCount = static_cast<Index>(Wide::Batch::size);
    alignas(64) double lane[kCount];
    wide.store(lane);
#pragma GCC unroll 3
    for (Index half = kCount / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
      for (Index i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
    return lane[0];
  }
}

// By lanes, and these by halves.
template <class A>
inline double sum_of_positions(const double* positions, Index length) {
  DoubleLanes<A> sum = DoubleLanes<A>::all(0);
  Index i = 0;
  for (; i + kLanes <= length; i += kLanes) sum = sum + DoubleLanes<A>::load(positions + i);
  if (i < length) sum = sum + DoubleLanes<A>::load_first(positions + i, length - i);
  return sum_of_lanes(sum);
}

// To each of `length` positions of a plane its channel's value. Up to 15 places behind the last are written as well.
template <class A, class Real>
inline void spread_over_positions(const Real* values, Index channels, Index length, Real* positions) {
  using Vector = Pack<A, Real, kLanes>;
  for (Index c = 0; c < channels; ++c) {
    const Vector value = Vector::all(values != nullptr ? values[c] : Real{0});
    for (Index i = 0; i < length; i += kLanes) value.store(positions + c * length + i);
  }
}

}  // namespace
}  // namespace xbn::kernels
