#pragma once

// Sums of a tile's gradients: in double, or, of 16 bits, in blocks of single precision wherever that holds them.

#include "kernels/fused_sums.hpp"

namespace xbn::kernels {
namespace {

// Of one tile of elements of 16 bits.
template <class A, class Source>
class BlockGradientSums {
 public:
  using Streams = GradientSumsStreams<A, Source, Source>;

  BlockGradientSums(const Streams& streams, const FusedGradient<float>& tile, const WideGradientSums<float>& out)
      : streams_(streams), tile_(tile), out_(out) {}

  // Channels whose sums single precision may not have held are summed again.
  void run() {
    Alone alone;
    alignas(64) double sums[3][kSumsPitch];
    accumulate<A, BlockGradientReduction>(streams_, tile_.extent, tile_.center, sums, alone);
    unsigned char again[kMaxLanes];
    unsigned char any = 0;
    for (Index c = 0; c < tile_.extent.channels; ++c) {
      take(sums, c);
      again[c] = __builtin_fabs(out_.dz_x[c]) >= kLeastProduct && is_finite(c) ? 0 : 1;
      any |= again[c];
    }
    if (any == 0) return;
    // A loop of its own: in the one above, the search for products costs nhwc's backward 2 to 3 % of its time.
    any = 0;
    for (Index c = 0; c < tile_.extent.channels; ++c) {
      if (again[c] != 0 && is_finite(c) && underflow_is_harmless(c)) again[c] = 0;
      any |= again[c];
    }
    if (any == 0) return;
    accumulate<A, GradientReduction>(streams_, tile_.extent, tile_.center, sums, alone);
    for (Index c = 0; c < tile_.extent.channels; ++c) {
      if (again[c] != 0) take(sums, c);
    }
  }

 private:
  using Vector = Lanes<A>;

  // Beside a product of this size, what single precision cannot hold of others is nothing.
  static constexpr double kLeastProduct = 0x1p-80;

  void take(const double (&sums)[3][kSumsPitch], Index channel) {
    out_.dz[channel] = sums[0][channel];
    out_.dz_x[channel] = sums[1][channel];
    out_.x[channel] = sums[2][channel];
  }

  bool is_finite(Index channel) const {
    constexpr double kMost = static_cast<double>(__FLT_MAX__);
    return __builtin_fabs(out_.dz[channel]) <= kMost && __builtin_fabs(out_.dz_x[channel]) <= kMost &&
           __builtin_fabs(out_.x[channel]) <= kMost;
  }

  // Of a channel whose products add up to nearly nothing: no product is wanted, or gradients are all 0 (as good as
  // certain where both sums are), or values are all the mean, or products cancel.
  bool underflow_is_harmless(Index channel) {
    const bool no_gradients = out_.dz[channel] == 0 && out_.dz_x[channel] == 0;
    if (no_gradients || !streams_.x.present()) return true;
    return holds_products(channel);
  }

  // Whether a channel has a product of some size (where they cancel, mostly the first that is looked at) or none at
  // all.
  bool holds_products(Index channel) {
    const FusedExtent& extent = tile_.extent;
    const bool planes = extent.shape == Shape::planes;
    const Index block = channel / extent.width;
    const Index lane = planes ? 0 : channel % extent.width % kLanes;
    const Index first = channel % extent.width - lane;  // of the vector that has the channel
    const Index behind = channels_of(extent, block) - first;
    const Index lanes = behind < kLanes ? behind : kLanes;
    Vector coefficient[Streams::kCoefficients];
    for (int i = 0; i < Streams::kCoefficients; ++i) {
      const float* const values = streams_.coefficient(i);
      coefficient[i] = values == nullptr ? Vector::all(0)
                       : planes          ? Vector::all(values[channel])
                                         : Vector::load_first(values + channel - lane, lanes);
    }
    double largest = 0;
    for (Index n = 0; n < extent.images; ++n) {
      const Index valid = valid_positions(extent, n);
      for (Index r = 0; r < valid; r += planes ? kLanes : 1) {
        move_to(streams_, n, block, planes ? 0 : r);
        const Index count = valid - r < kLanes ? valid - r : kLanes;
        const double product = planes ? largest_product(r, count, coefficient, channel, 0, count)
                                      : largest_product(first, lanes, coefficient, channel, lane, lane + 1);
        if (product >= kLeastProduct) return true;
        if (product > largest) largest = product;
      }
    }
    return largest == 0;
  }

  // In lanes [from, to) of the vector at i, of which `count` lanes are elements.
  double largest_product(Index i, Index count, const Vector* coefficient, Index channel, Index from, Index to) const {
    Vector sources[2];
    streams_.template stage<1, true>(i, {count, count}, coefficient, sources);
    alignas(64) float dz[kLanes];
    alignas(64) float x[kLanes];
    sources[0].store(dz);
    sources[1].store(x);
    const double center = tile_.center != nullptr ? static_cast<double>(tile_.center[channel]) : 0;
    double largest = 0;
    for (Index lane = from; lane < to; ++lane) {
      const double product = __builtin_fabs(static_cast<double>(dz[lane]) * (static_cast<double>(x[lane]) - center));
      if (product > largest) largest = product;
    }
    return largest;
  }

  Streams streams_;
  const FusedGradient<float>& tile_;
  const WideGradientSums<float>& out_;
};

template <class A, class Source, class Gradient, class Companion>
inline void gradient_sums_of(const FusedGradient<RealOf<Source>>& tile, const WideGradientSums<RealOf<Source>>& out,
                             Companion& companion) {
  using Real = RealOf<Source>;
  using W = Wide<Real>;
  const GradientSumsStreams<A, Source, Gradient> streams(tile);
  if constexpr (sizeof(Source) == 2 && std::is_same_v<Source, Gradient>) {
    // From the output, x is computed, and worth more places than y has.
    if (!streams.from_output) return BlockGradientSums<A, Source>(streams, tile, out).run();
  }
  using Reduction = typename ReductionsOf<Real>::Gradients;
  alignas(64) double sums[Reduction::kSums][kSumsPitch];
  accumulate<A, Reduction>(streams, tile.extent, tile.center, sums, companion);
  W* const to[] = {out.dz, out.dz_x, out.x};
  for (int i = 0; i < 3; ++i) {
    for (Index c = 0; c < tile.extent.channels; ++c) {
      if constexpr (std::is_same_v<Real, double>) {
        to[i][c] = normalised(sums[2 * i][c], sums[2 * i + 1][c]);
      } else {
        to[i][c] = sums[i][c];
      }
    }
  }
}

}  // namespace
}  // namespace xbn::kernels
