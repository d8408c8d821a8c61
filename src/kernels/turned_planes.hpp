#pragma once

// Planes turned: 16 channels of a position become a row of lanes, in which nothing has to be done channel by channel.
// Worth it where a tile has so few elements of each channel that what is done once a channel takes longest.

#include "kernels/column_sums.hpp"
#include "kernels/pivots.hpp"
#include "kernels/planar_apply.hpp"

namespace xbn::kernels {
namespace {

// Elements of a channel in a tile, at most. Those of more images are better summed by positions.
inline constexpr Index kMostTurned = 64;
inline constexpr Index kMostImagesTurned = 4;

inline bool summed_turned(const PlanarExtent& extent) {
  return extent.planes <= kMostImagesTurned && extent.planes * extent.length <= kMostTurned;
}

// Four planes as lanes 0 to 3 of rows. Not inlined: pointers then stay in registers.
[[gnu::flatten, gnu::noinline]] inline void turn_four(const float* a, const float* b, const float* c, const float* d,
                                                      Index length, float* to) {
  using Four = xsimd::batch<float, Sse2>;
  Index i = 0;
  for (; i + 4 <= length; i += 4, to += 4 * kLanes) {
    const Four of_a = Four::load_unaligned(a + i);
    const Four of_b = Four::load_unaligned(b + i);
    const Four of_c = Four::load_unaligned(c + i);
    const Four of_d = Four::load_unaligned(d + i);
    const Four ac_low = xsimd::zip_lo(of_a, of_c);
    const Four ac_high = xsimd::zip_hi(of_a, of_c);
    const Four bd_low = xsimd::zip_lo(of_b, of_d);
    const Four bd_high = xsimd::zip_hi(of_b, of_d);
    xsimd::zip_lo(ac_low, bd_low).store_unaligned(to);
    xsimd::zip_hi(ac_low, bd_low).store_unaligned(to + kLanes);
    xsimd::zip_lo(ac_high, bd_high).store_unaligned(to + 2 * kLanes);
    xsimd::zip_hi(ac_high, bd_high).store_unaligned(to + 3 * kLanes);
  }
  for (; i < length; ++i, to += kLanes) {
    to[0] = a[i];
    to[1] = b[i];
    to[2] = c[i];
    to[3] = d[i];
  }
}

// The elements of a tile, a row of lanes each. Lanes behind the channels are 0, or repeat the last.
struct TurnedPlanes {
  alignas(64) float rows[kMostTurned * kLanes];

  TurnedPlanes(const PlanarSource& source, const PlanarExtent& extent) {
    float* to = rows;
    for (Index n = 0; n < extent.planes; ++n, to += extent.length * kLanes) {
      for (Index first = 0; first < kLanes; first += 4) {
        if (first >= extent.channels) {
          const auto zero = xsimd::batch<float, Sse2>(0.0F);
          for (Index i = 0; i < extent.length; ++i) zero.store_unaligned(to + i * kLanes + first);
          continue;
        }
        const auto plane_of = [&](Index channel) {
          const Index c = channel < extent.channels ? channel : extent.channels - 1;
          return plane(source, n, c);
        };
        turn_four(plane_of(first), plane_of(first + 1), plane_of(first + 2), plane_of(first + 3), extent.length,
                  to + first);
      }
    }
  }
};

// Of 16 of the `count` rows.
template <class A>
inline Lanes<A> pivots_of_turned(const TurnedPlanes& x, Index count) {
  Lanes<A> sample[kLanes];
  for (Index i = 0; i < kLanes; ++i) {
    sample[i] = Lanes<A>::load(x.rows + sample_place(i, count) * kLanes);
  }
  return mean_of_samples<A, float>(sample);
}

// `sums` have 16 places each, as `center` has.
template <class A, class Reduction>
inline void add_turned(const TurnedPlanes* const (&sources)[Reduction::kSources], Index count, const float* center,
                       const Sums<Reduction::kSums>& sums) {
  Rows<Reduction::kSources> rows;
  for (int i = 0; i < Reduction::kSources; ++i) {
    rows.data[i] = sources[i]->rows;
    rows.stride[i] = kLanes;
  }
  for (double* sum : sums.sum) DoubleLanes<A>::all(0).store(sum);
  Alone alone;
  add_column<A>(column_in_order<Reduction>(rows, count), count, 0, center, sums, alone, Reach::own_cache);
}

}  // namespace
}  // namespace xbn::kernels
