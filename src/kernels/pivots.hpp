#pragma once

// What moments are taken about: the mean of 16 elements of a channel that are spread over a tile.

#include "kernels/simd_extras.hpp"

namespace xbn::kernels {
namespace {

// Element i of those, of `count`: evenly, but not a sixteenth of them apart, which rows as long as a power of two would
// have in one set of a cache.
inline Index sample_place(Index i, Index count) { return 15 * (i + 1) * count / (kLanes * kLanes); }

// Lane by lane, as a tree: 16 equal samples give back exactly themselves.
template <class A, class Real>
[[gnu::always_inline]] inline Pack<A, Real, kLanes> mean_of_samples(Pack<A, Real, kLanes> (&sample)[kLanes]) {
#pragma GCC unroll 4
  for (Index half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (Index i = 0; i < half; ++i) sample[i] = sample[i] + sample[i + half];
  }
  return sample[0] * Pack<A, Real, kLanes>::all(Real{1} / kLanes);
}

}  // namespace
}  // namespace xbn::kernels
