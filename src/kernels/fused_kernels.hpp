#pragma once

// The fused kernels of one instruction set, and their table.

#include "kernels/fused_apply.hpp"
#include "kernels/fused_statistics.hpp"
#include "kernels/fused_sums.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

// Calls with(Source{}) for a type that moments are taken of.
template <class Real, class With>
inline void with_type_of(DataType type, const With& with) {
  if constexpr (std::is_same_v<Real, double>) {
    with(double{});
  } else {
    if (type == DataType::f32) with(float{});
    if (type == DataType::bf16) with(bfloat16{});
    if (type == DataType::f16) with(float16{});
  }
}

template <class A, class Real>
struct FusedKernels {
  using W = Wide<Real>;
  using Vector = Pack<A, Real, kLanes>;

  static void moments(const FusedExtent& extent, const FusedSource& x, const WideMoments<Real>& out) {
    with_type_of<Real>(x.type, [&]<class Source>(Source) { moments_of<Source>(extent, x, out); });
  }

  static void gradient_sums(const FusedGradient<Real>& tile, const WideGradientSums<Real>& out) {
    if constexpr (std::is_same_v<Real, double>) {
      gradient_sums_of<double, double>(tile, out);
    } else {
      with_trained_types(tile.x.type, tile.dy.type, [&]<class Source, class Gradient>(Source, Gradient) {
        gradient_sums_of<Source, Gradient>(tile, out);
      });
    }
  }

  static void count_saturated(const FusedExtent& extent, const FusedSource& y, const Activation& activation,
                              Index* saturated) {
    with_type_of<Real>(y.type, [&]<class Source>(Source) {
      const bool both_ends = activation.kind == ActivationKind::tanh;
      count_beyond(MomentsStreams<A, Source>{stream_of<Source>(y)}, extent,
                   static_cast<Real>(1 - power_of_two(-kDigits<Source> / 2)), kLeastNormal<Source>, both_ends,
                   saturated);
    });
  }

 private:
  template <class Source>
  static void moments_of(const FusedExtent& extent, const FusedSource& x, const WideMoments<Real>& out) {
    using Reduction = typename ReductionsOf<Real>::Moments;
    const MomentsStreams<A, Source> streams{stream_of<Source>(x)};
    const Index count = valid_elements(extent);
    alignas(64) Real pivot[kMaxLanes];
    find_pivots(streams, extent, count, pivot);
    alignas(64) double sums[Reduction::kSums][kMaxLanes];
    accumulate<Reduction>(streams, extent, pivot, sums);
    if constexpr (std::is_same_v<Real, double>) {
      for (Index c = 0; c < extent.channels; ++c) {
        const DoubleDouble offset = normalised(sums[0][c], sums[1][c]) / as_wide<W>(static_cast<double>(count));
        const DoubleDouble m2 = normalised(sums[2][c], sums[3][c]) - normalised(sums[0][c], sums[1][c]) * offset;
        out.mean[c] = as_wide<W>(pivot[c]) + offset;
        out.m2[c] = m2.high < 0 ? DoubleDouble{} : m2;
      }
    } else {
      unsigned char again[kMaxLanes];
      if (!finish_moments(extent.channels, count, pivot, sums[0], sums[1], {out.mean, out.m2}, again)) return;
      moments_in_double(streams, extent, static_cast<double>(count), again, out);
    }
  }

  // Of the channels that are marked.
  template <class Source>
  static void moments_in_double(const MomentsStreams<A, Source>& streams, const FusedExtent& extent, double count,
                                const unsigned char* marked, const WideMoments<Real>& out) {
    alignas(64) double sums[2][kMaxLanes];
    alignas(64) float near[kMaxLanes] = {};
    accumulate<ExactMomentsReduction>(streams, extent, near, sums);
    for (Index c = 0; c < extent.channels; ++c) near[c] = static_cast<float>(sums[0][c] / count);
    accumulate<ExactMomentsReduction>(streams, extent, near, sums);
    for (Index c = 0; c < extent.channels; ++c) {
      if (marked[c] == 0) continue;
      const double offset = sums[0][c] / count;
      const double m2 = sums[1][c] - sums[0][c] * offset;
      out.mean[c] = static_cast<double>(near[c]) + offset;
      out.m2[c] = m2 < 0 ? 0 : m2;
    }
  }

  template <class Source, class Gradient>
  static void gradient_sums_of(const FusedGradient<Real>& tile, const WideGradientSums<Real>& out) {
    using Reduction = typename ReductionsOf<Real>::Gradients;
    alignas(64) double sums[Reduction::kSums][kMaxLanes];
    accumulate<Reduction>(GradientSumsStreams<A, Source, Gradient>(tile), tile.extent, tile.center, sums);
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

  template <class Reduction, class Streams>
  static void accumulate(const Streams& streams, const FusedExtent& extent, const Real* center,
                         double (&sums)[Reduction::kSums][kMaxLanes]) {
    double* arrays[Reduction::kSums];
    for (int i = 0; i < Reduction::kSums; ++i) arrays[i] = sums[i];
    FusedAccumulation<A, Reduction, Streams>(streams, extent, center, arrays).run();
  }

  // Calls visit(first channel, count, streams at element `index` of those that are not void) for up to 16 channels at a
  // time.
  template <class Streams, class Visit>
  static void for_channels_at(Streams& streams, const FusedExtent& extent, Index index, const Visit& visit) {
    Index image = 0;
    if (extent.lengths == nullptr) {
      image = index / extent.positions;
      index %= extent.positions;
    } else {
      for (; index >= valid_positions(extent, image); ++image) index -= valid_positions(extent, image);
    }
    for (Index b = 0; b < extent.blocks; ++b) {
      move_to(streams, image, b, index);
      const Index channels = channels_of(extent, b);
      for (Index lane = 0; lane < channels; lane += kLanes) {
        visit(first_channel(extent, b) + lane, channels - lane < kLanes ? channels - lane : kLanes, lane);
      }
    }
  }

  // The mean of 16 elements spread evenly over the tile, as a tree: equal ones give back exactly themselves.
  template <class Streams>
  static void find_pivots(Streams streams, const FusedExtent& extent, Index count, Real* pivot) {
    alignas(64) Real sample[kLanes][kMaxLanes];
    for (Index i = 0; i < kLanes; ++i) {
      for_channels_at(streams, extent, (2 * i + 1) * count / (2 * kLanes), [&](Index first, Index lanes, Index lane) {
        Vector value[1];
        streams.template stage<1, true>(lane, {lanes, lanes}, nullptr, value);
        value[0].store_first(sample[i] + first, lanes);
      });
    }
    for (Index half = kLanes / 2; half > 0; half /= 2) {
      for (Index i = 0; i < half; ++i) {
        for (Index c = 0; c < extent.channels; ++c) sample[i][c] += sample[i + half][c];
      }
    }
    for (Index c = 0; c < extent.channels; ++c) pivot[c] = sample[0][c] * (Real{1} / kLanes);
  }

  // Elements that are more than `most`, and, of a function with two ends, less than -most; of one that ends at 0, less
  // than the smallest normal number.
  template <class Streams>
  static void count_beyond(Streams streams, const FusedExtent& extent, Real most, Real smallest, bool both_ends,
                           Index* count) {
    const Real least = both_ends ? -most : smallest;
    for (Index n = 0; n < extent.images; ++n) {
      const Index valid = valid_positions(extent, n);
      for (Index b = 0; b < extent.blocks; ++b) {
        const Index channels = channels_of(extent, b);
        for (Index r = 0; r < valid; ++r) {
          move_to(streams, n, b, r);
          for (Index lane = 0; lane < channels; lane += kLanes) {
            const Index lanes = channels - lane < kLanes ? channels - lane : kLanes;
            Vector y[1];
            streams.template stage<1, true>(lane, {lanes, lanes}, nullptr, y);
            const unsigned beyond = to_unsigned(less(y[0], Vector::all(least)) | less(Vector::all(most), y[0]));
            Index* const of_lanes = count + first_channel(extent, b) + lane;
            for (Index i = 0; i < lanes; ++i) of_lanes[i] += beyond >> i & 1U;
          }
        }
      }
    }
  }
};

template <class A, class Real>
constexpr FusedTable<Real> make_fused_table() {
  using Kernels = FusedKernels<A, Real>;
  using Statistics = FusedStatistics<Real>;
  return {
      .moments = Kernels::moments,
      .apply = FusedPasses<A>::apply,
      .gradient_sums = Kernels::gradient_sums,
      .gradient_apply = FusedPasses<A>::gradient_apply,
      .count_saturated = Kernels::count_saturated,
      .merge_moments = Statistics::merge_moments,
      .scale = Statistics::scale,
      .add = Statistics::add,
      .finalise_forward = Statistics::finalise_forward,
      .finalise_given = Statistics::finalise_given,
      .finalise_backward = Statistics::finalise_backward,
      .stream_fence = stream_fence,
  };
}

}  // namespace
}  // namespace xbn::kernels
