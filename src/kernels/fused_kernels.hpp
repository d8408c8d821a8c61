#pragma once

// The fused kernels of one instruction set, and their table.

#include "kernels/fused_companions.hpp"
#include "kernels/fused_gradient_sums.hpp"
#include "kernels/fused_statistics.hpp"
#include "kernels/fused_sums.hpp"
#include "kernels/pivots.hpp"
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
    with_type_of<Real>(x.type, [&]<class Source>(Source) {
      Alone alone;
      moments_of<Source>(extent, x, out, alone);
    });
  }

  static void prefetch_pivots(const FusedExtent& extent, const FusedSource& x) {
    if (extent.shape == Shape::rows || extent.lengths != nullptr) return;
    const auto size = static_cast<Index>(size_of(x.type));
    const auto* const data = static_cast<const char*>(x.data);
    for (Index i = 0; i < kLanes; ++i) {
      const Place place = pivot_place(extent, extent.images * extent.positions, i);
      const char* const from = data + (place.image * x.image_pitch + place.position * x.row_pitch) * size;
      for (Index b = 0; b < extent.blocks; ++b) prefetch(from + b * x.block_pitch * size);
    }
  }

  static void apply_and_moments(const FusedForward<Real>& now, const FusedExtent& extent, const FusedSource& x,
                                const WideMoments<Real>& out) {
    beside(Forward<A, Real, Real, true>(now), Forward<A, Real, Real>(now), now.extent, now.store,
           [&](auto& companion) { moments_of<Real>(extent, x, out, companion); });
  }

  static void gradient_sums(const FusedGradient<Real>& tile, const WideGradientSums<Real>& out) {
    Alone alone;
    if constexpr (std::is_same_v<Real, double>) {
      gradient_sums_of<A, double, double>(tile, out, alone);
    } else {
      with_trained_types(tile.x.type, tile.dy.type, [&]<class Source, class Gradient>(Source, Gradient) {
        gradient_sums_of<A, Source, Gradient>(tile, out, alone);
      });
    }
  }

  static void gradient_apply_and_sums(const FusedGradient<Real>& now, const FusedGradientApply<Real>& apply,
                                      const FusedGradient<Real>& tile, const WideGradientSums<Real>& out) {
    beside(Backward<A, Real, Real, true>(now, apply), Backward<A, Real, Real>(now, apply), now.extent, apply.store,
           [&](auto& companion) { gradient_sums_of<A, Real, Real>(tile, out, companion); });
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
  // Calls with(companion), which applies the light operation to the tile, or the full one where that is not runs, and
  // lets the companion finish.
  template <class Light, class Full, class With>
  static void beside(const Light& light, const Full& full, const FusedExtent& extent, Store store, const With& with) {
    using Others = FusedApply<A, Full>;
    Others others(full, extent, store);
    const auto with_companion = [&](auto&& companion) {
      with(companion);
      companion.finish();
    };
    if (store == Store::streaming) {
      with_companion(FusedBeside<A, Light, Others, Store::streaming>(light, others, extent));
    } else {
      with_companion(FusedBeside<A, Light, Others, Store::ordinary>(light, others, extent));
    }
  }

  template <class Source, class Companion>
  static void moments_of(const FusedExtent& extent, const FusedSource& x, const WideMoments<Real>& out,
                         Companion& companion) {
    using Reduction = typename ReductionsOf<Real>::Moments;
    const MomentsStreams<A, Source> streams{stream_of<Source>(x)};
    const Index count = valid_elements(extent);
    alignas(64) Real pivot[kMaxLanes];
    find_pivots(streams, extent, count, pivot);
    alignas(64) double sums[Reduction::kSums][kSumsPitch];
    accumulate<A, Reduction>(streams, extent, pivot, sums, companion);
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
    alignas(64) double sums[2][kSumsPitch];
    alignas(64) float near[kMaxLanes] = {};
    Alone alone;
    accumulate<A, ExactMomentsReduction>(streams, extent, near, sums, alone);
    for (Index c = 0; c < extent.channels; ++c) near[c] = static_cast<float>(sums[0][c] / count);
    accumulate<A, ExactMomentsReduction>(streams, extent, near, sums, alone);
    for (Index c = 0; c < extent.channels; ++c) {
      if (marked[c] == 0) continue;
      const double offset = sums[0][c] / count;
      const double m2 = sums[1][c] - sums[0][c] * offset;
      out.mean[c] = static_cast<double>(near[c]) + offset;
      out.m2[c] = m2 < 0 ? 0 : m2;
    }
  }

  struct Place {
    Index image;
    Index position;
  };

  // Of element `index` of those that are not void.
  static Place place_of(const FusedExtent& extent, Index index) {
    if (extent.lengths == nullptr) return {index / extent.positions, index % extent.positions};
    Index image = 0;
    for (; index >= valid_positions(extent, image); ++image) index -= valid_positions(extent, image);
    return {image, index};
  }

  // Element i of 16 that are spread over a tile.
  static Place pivot_place(const FusedExtent& extent, Index count, Index i) {
    return place_of(extent, sample_place(i, count));
  }

  // The mean of those elements, as a tree: equal ones give back exactly themselves.
  template <class Source>
  static void find_pivots(const MomentsStreams<A, Source>& streams, const FusedExtent& extent, Index count,
                          Real* pivot) {
    if (extent.shape == Shape::planes) return find_pivots_of_planes(streams.x, extent, count, pivot);
    const Source* sample_at[kLanes];
    for (Index i = 0; i < kLanes; ++i) {
      const Place place = pivot_place(extent, count, i);
      sample_at[i] = streams.x.base + place.image * streams.x.image_pitch + place.position * streams.x.row_pitch;
    }
    for (Index b = 0; b < extent.blocks; ++b) {
      const Index channels = channels_of(extent, b);
      if (extent.shape == Shape::rows) {
        for (const Source* from : sample_at) {
          for (Index lane = 0; lane < channels; lane += kLanes) prefetch(from + lane);
        }
      }
      for (Index lane = 0; lane < channels; lane += kLanes) {
        const Index lanes = channels - lane < kLanes ? channels - lane : kLanes;
        Vector sample[kLanes];
        for (Index i = 0; i < kLanes; ++i) {
          sample[i] = load_first_lanes<A>(sample_at[i] + b * streams.x.block_pitch + lane, lanes);
        }
        mean_of_samples<A, Real>(sample).store_first(pivot + first_channel(extent, b) + lane, lanes);
      }
    }
  }

  // Those of one channel side by side in a vector.
  template <class Source>
  static void find_pivots_of_planes(const Stream<const Source>& x, const FusedExtent& extent, Index count,
                                    Real* pivot) {
    Index offset[kLanes];
    for (Index i = 0; i < kLanes; ++i) {
      const Place place = pivot_place(extent, count, i);
      offset[i] = place.image * x.image_pitch + place.position;
    }
    for (Index c = 0; c < extent.channels; ++c) {
      alignas(64) Source stored[kLanes];
      for (Index i = 0; i < kLanes; ++i) stored[i] = x.base[c * x.block_pitch + offset[i]];
      alignas(64) Real sample[kLanes];
      load_lanes<A>(stored).store(sample);
      for (Index half = kLanes / 2; half > 0; half /= 2) {
        for (Index i = 0; i < half; ++i) sample[i] += sample[i + half];
      }
      pivot[c] = sample[0] * (Real{1} / kLanes);
    }
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
  using Statistics = FusedStatistics<A, Real>;
  FusedTable<Real> table{
      .moments = Kernels::moments,
      .prefetch_pivots = Kernels::prefetch_pivots,
      .apply = FusedPasses<A>::apply,
      .apply_and_moments = nullptr,
      .gradient_sums = Kernels::gradient_sums,
      .gradient_apply = FusedPasses<A>::gradient_apply,
      .gradient_apply_and_sums = nullptr,
      .count_saturated = Kernels::count_saturated,
      .merge_moments = Statistics::merge_moments,
      .scale = Statistics::scale,
      .add = Statistics::add,
      .finalise_forward = Statistics::finalise_forward,
      .finalise_given = Statistics::finalise_given,
      .finalise_backward = Statistics::finalise_backward,
      .stream_fence = stream_fence,
  };
  if constexpr (std::is_same_v<Real, float>) {
    table.apply_and_moments = Kernels::apply_and_moments;
    table.gradient_apply_and_sums = Kernels::gradient_apply_and_sums;
  }
  return table;
}

}  // namespace
}  // namespace xbn::kernels
