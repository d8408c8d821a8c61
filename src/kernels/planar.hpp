#pragma once

// The planar family: planes of consecutive positions of one channel (ncw, nchw, ncdhw). A row is 16 positions; blocks
// do not span planes. The walk goes over a group of channels for each image, so that memory is read in order even where
// planes are small.

#include "kernels/column_sums.hpp"
#include "kernels/planar_apply.hpp"
#include "kernels/row_sums.hpp"
#include "kernels/small_planes.hpp"
#include "kernels/statistics.hpp"
#include "kernels/turned_planes.hpp"

namespace xbn::kernels {
namespace {

template <class A>
struct Planar {
  static void moments(const PlanarSource& x, const PlanarExtent& extent, const MomentsOut& out) {
    if (summed_turned(extent)) return turned_moments(x, extent, out);
    Alone alone;
    moments_beside(alone, x, extent, out);
  }

  static void prefetch_pivots(const PlanarSource& x, const PlanarExtent& extent) {
    for (Index i = 0; i < kLanes; ++i) {
      const float* from = pivot_sample(x, extent, i);
      for (Index c = 0; c < extent.channels; ++c) prefetch(from + c * x.channel_pitch);
    }
  }

  template <class Gradients = GradientReduction>
  static void gradient_sums(const PlanarSource& x, const PlanarSource& dy, const PlanarExtent& extent,
                            const float* mean, const GradientSumsOut& out) {
    Alone alone;
    if (x.data == nullptr) {
      accumulate<SumReduction>({{dy}}, extent, kNoCenter, {{out.dy}}, alone);
    } else if (summed_turned(extent)) {
      turned_gradient_sums(x, dy, extent, mean, out);
    } else if (by_positions(extent)) {
      // Rows that begin anywhere in a line are read in twice as many pieces by half registers.
      gradient_sums_beside<GradientReduction>(alone, x, dy, extent, mean, out);
    } else {
      gradient_sums_beside<Gradients>(alone, x, dy, extent, mean, out);
    }
  }

  static void apply(const PlanarSource& x, const PlanarDestination& y, const PlanarExtent& extent, const Affine& affine,
                    Store store) {
    with_operation(x, affine, [&](const auto& sources, const auto& coefficients) {
      run(sources, y, extent, coefficients, store);
    });
  }

  static void gradient_apply(const PlanarSource& x, const PlanarSource& dy, const PlanarDestination& dx,
                             const PlanarExtent& extent, const GradientAffine& affine, Store store) {
    with_operation(x, dy, affine, [&](const auto& sources, const auto& coefficients) {
      run(sources, dx, extent, coefficients, store);
    });
  }

  static void apply_and_moments(const PlanarApplyTile& now, const PlanarSource& x, const PlanarExtent& extent,
                                const MomentsOut& out) {
    with_operation(now.x, now.affine, [&](const auto& sources, const auto& coefficients) {
      beside(sources, now.y, now.extent, coefficients, now.store,
             [&](auto& companion) { moments_beside(companion, x, extent, out); });
    });
  }

  static void gradient_apply_and_sums(const PlanarGradientApplyTile& now, const PlanarSource& x, const PlanarSource& dy,
                                      const PlanarExtent& extent, const float* mean, const GradientSumsOut& out) {
    with_operation(now.x, now.dy, now.affine, [&](const auto& sources, const auto& coefficients) {
      beside(sources, now.dx, now.extent, coefficients, now.store,
             [&](auto& companion) { gradient_sums_beside<GradientReduction>(companion, x, dy, extent, mean, out); });
    });
  }

 private:
  static constexpr float kNoCenter[kMaxGroup] = {};

  template <class Companion>
  static void moments_beside(Companion& companion, const PlanarSource& x, const PlanarExtent& extent,
                             const MomentsOut& out) {
    alignas(64) float pivot[kMaxGroup];
    find_pivots(x, extent, pivot);
    double sum[kMaxGroup];
    double sum_squares[kMaxGroup];
    accumulate<MomentsReduction>({{x}}, extent, pivot, {{sum, sum_squares}}, companion);
    finish(x, extent, pivot, sum, sum_squares, out);
  }

  static void turned_moments(const PlanarSource& x, const PlanarExtent& extent, const MomentsOut& out) {
    const Index count = extent.planes * extent.length;
    const TurnedPlanes turned(x, extent);
    alignas(64) float pivot[kLanes];
    pivots_of_turned<A>(turned, count).store(pivot);
    alignas(64) double sum[kLanes];
    alignas(64) double sum_squares[kLanes];
    add_turned<A, MomentsReduction>({&turned}, count, pivot, {{sum, sum_squares}});
    finish(x, extent, pivot, sum, sum_squares, out);
  }

  static void finish(const PlanarSource& x, const PlanarExtent& extent, const float* pivot, const double* sum,
                     const double* sum_squares, const MomentsOut& out) {
    unsigned char again[kMaxGroup];
    const Index count = extent.planes * extent.length;
    if (!finish_moments(extent.channels, count, pivot, sum, sum_squares, out, again)) return;
    for (Index c = 0; c < extent.channels; ++c) {
      if (again[c] != 0) moments_in_double(x, extent, c, out);
    }
  }

  static void turned_gradient_sums(const PlanarSource& x, const PlanarSource& dy, const PlanarExtent& extent,
                                   const float* mean, const GradientSumsOut& out) {
    const TurnedPlanes turned_dy(dy, extent);
    const TurnedPlanes turned_x(x, extent);
    alignas(64) float center[kLanes];
    Lanes<A>::load_first(mean, extent.channels).store(center);
    alignas(64) double sum[GradientReduction::kSums][kLanes];
    add_turned<A, GradientReduction>({&turned_dy, &turned_x}, extent.planes * extent.length, center,
                                     {{sum[0], sum[1], sum[2]}});
    for (Index c = 0; c < extent.channels; ++c) {
      out.dy[c] = sum[0][c];
      out.dy_x[c] = sum[1][c];
      out.x[c] = sum[2][c];
    }
  }

  template <class Gradients, class Companion>
  static void gradient_sums_beside(Companion& companion, const PlanarSource& x, const PlanarSource& dy,
                                   const PlanarExtent& extent, const float* mean, const GradientSumsOut& out) {
    accumulate<Gradients>({{dy, x}}, extent, mean, {{out.dy, out.dy_x, out.x}}, companion);
  }

  // Calls with(companion), which applies the operation to the tile, and lets the companion finish.
  template <class Operation, class With>
  static void beside(const SourcesOf<PlanarSource, Operation::kSources>& sources, const PlanarDestination& destination,
                     const PlanarExtent& extent, const Coefficients<Operation>& coefficients, Store store,
                     const With& with) {
    const PlanarTile<Operation> tile{sources, destination, extent, coefficients};
    if (store == Store::streaming) {
      beside<Store::streaming>(tile, with);
    } else {
      beside<Store::ordinary>(tile, with);
    }
  }

  template <Store kStore, class Operation, class With>
  static void beside(const PlanarTile<Operation>& tile, const With& with) {
    using Runs = PlanarRuns<A, Operation, kStore>;
    Runs runs(tile);
    Beside<A, Operation, kStore, Runs> companion(runs);
    with(companion);
    companion.finish();
  }

  template <class Operation>
  static void run(const SourcesOf<PlanarSource, Operation::kSources>& sources, const PlanarDestination& destination,
                  const PlanarExtent& extent, const Coefficients<Operation>& coefficients, Store store) {
    const PlanarTile<Operation> tile{sources, destination, extent, coefficients};
    if (store == Store::streaming) {
      PlanarApply<A, Operation, Store::streaming>::run(tile);
    } else {
      PlanarApply<A, Operation, Store::ordinary>::run(tile);
    }
  }

  template <int kCount>
  using Sources = SourcesOf<PlanarSource, kCount>;

  // Of the first channel, element i of 16 that are spread evenly over the tile.
  static const float* pivot_sample(const PlanarSource& x, const PlanarExtent& extent, Index i) {
    const Index element = sample_place(i, extent.planes * extent.length);
    return plane(x, element / extent.length, 0) + element % extent.length;
  }

  // The mean of the samples, as a tree: 16 equal elements give back exactly themselves.
  static void find_pivots(const PlanarSource& x, const PlanarExtent& extent, float* pivot) {
    alignas(64) float sample[kLanes][kMaxGroup] = {};
    for (Index i = 0; i < kLanes; ++i) {
      const float* from = pivot_sample(x, extent, i);
      for (Index c = 0; c < extent.channels; ++c) sample[i][c] = from[c * x.channel_pitch];
    }
    for (Index half = kLanes / 2; half > 0; half /= 2) {
      for (Index i = 0; i < half; ++i) {
        for (Index c = 0; c < kMaxGroup; ++c) sample[i][c] += sample[i + half][c];
      }
    }
    for (Index c = 0; c < kMaxGroup; ++c) pivot[c] = sample[0][c] * (1.0F / kLanes);
  }

  static bool by_positions(const PlanarExtent& extent) { return summed_by_positions(extent.length, extent.planes); }

  // The sums of each channel of the tile.
  template <class Reduction, class Companion>
  static void accumulate(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent, const float* center,
                         const Sums<Reduction::kSums>& sums, Companion& companion) {
    if (by_positions(extent)) {
      accumulate_positions<Reduction>(sources, extent, center, sums, companion);
    } else {
      accumulate_planes<Reduction>(sources, extent, center, sums, companion);
    }
  }

  template <class Reduction, class Companion>
  static void accumulate_planes(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent,
                                const float* center, const Sums<Reduction::kSums>& sums, Companion& companion) {
    alignas(64) double lanes[Reduction::kSums][kMaxGroup * kLanes] = {};
    const Reading reading{extent.planes, extent.channels, extent.length, extent.part};
    for (Index n = 0; n < extent.planes; ++n) {
      for (Index c = 0; c < extent.channels; ++c) {
        const Place next = reading.after(n, c);
        Column<Reduction> column;
        for (int i = 0; i < Reduction::kSources; ++i) {
          column.rows.data[i] = plane(sources.of[i], n, c);
          column.rows.stride[i] = kLanes;
          column.next[i] = plane(sources.of[i], next.image, next.block) + next.position;
        }
        column.count = extent.length / kLanes;
        alignas(64) float centers[kLanes];
        Lanes<A>::all(center[c]).store(centers);
        Sums<Reduction::kSums> of_channel;
        for (int i = 0; i < Reduction::kSums; ++i) of_channel.sum[i] = lanes[i] + c * kLanes;
        add_column<A>(column, column.count, extent.length % kLanes, centers, of_channel, companion, extent.reach);
      }
    }
    for (int i = 0; i < Reduction::kSums; ++i) reduce_lanes(extent.channels, lanes[i], sums.sum[i]);
  }

  template <class Reduction, class Companion>
  static void accumulate_positions(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent,
                                   const float* center, const Sums<Reduction::kSums>& sums, Companion& companion) {
    const Index band = kMaxLanes / extent.length;
    for (Index first = 0; first < extent.channels; first += band) {
      const Index channels = extent.channels - first < band ? extent.channels - first : band;
      Sums<Reduction::kSums> of_band = sums;
      for (double*& sum : of_band.sum) sum += first;
      add_band<Reduction>(sources, extent, first, channels, center + first, of_band);
      companion.work(channels * extent.length * extent.planes / kLanes);
    }
  }

  template <class Reduction>
  static void add_band(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent, Index first,
                       Index channels, const float* center, const Sums<Reduction::kSums>& sums) {
    bool side_by_side = true;
    for (const PlanarSource& source : sources.of) side_by_side = side_by_side && source.channel_pitch == extent.length;
    alignas(64) float centers[kMaxLanes + kLanes];
    spread_over_positions<A>(center, channels, extent.length, centers);
    const Index lanes = channels * extent.length;
    alignas(64) double positions[Reduction::kSums][kSumsPitch];
    for (double* of_sum : positions) {
      for (Index i = 0; i < lanes + kLanes; ++i) of_sum[i] = 0;
    }
    const Index row_planes = side_by_side ? channels : 1;
    for (Index c = 0; c < channels; c += row_planes) {
      Rows<Reduction::kSources> rows;
      for (int i = 0; i < Reduction::kSources; ++i) {
        rows.data[i] = plane(sources.of[i], 0, first + c);
        rows.stride[i] = sources.of[i].plane_pitch;
      }
      Sums<Reduction::kSums> of_row;
      for (int i = 0; i < Reduction::kSums; ++i) of_row.sum[i] = positions[i] + c * extent.length;
      add_rows<A, Reduction>(rows, extent.planes, row_planes * extent.length, centers + c * extent.length, of_row,
                             RowOrder::by_turns_of_images, extent.reach);
    }
    for (int i = 0; i < Reduction::kSums; ++i) {
      for (Index c = 0; c < channels; ++c) {
        sums.sum[i][c] = sum_of_positions<A>(positions[i] + c * extent.length, extent.length);
      }
    }
  }

  static void reduce_lanes(Index channels, const double* lanes, double* sum) {
    for (Index c = 0; c < channels; ++c) sum[c] = sum_of_lanes(DoubleLanes<A>::load(lanes + c * kLanes));
  }

  // Calls add(lane, n, i) for every element of a channel, lanes in turn.
  template <class Add>
  static void for_each_element(const PlanarExtent& extent, Add add) {
    for (Index n = 0; n < extent.planes; ++n) {
      Index i = 0;
      for (; i + kLanes <= extent.length; i += kLanes) {
        for (Index lane = 0; lane < kLanes; ++lane) add(lane, n, i + lane);
      }
      for (Index lane = 0; i + lane < extent.length; ++lane) add(lane, n, i + lane);
    }
  }

  static double sum_in_double(const PlanarSource& x, const PlanarExtent& extent, Index c) {
    double lanes[kLanes] = {};
    for_each_element(extent,
                     [&](Index lane, Index n, Index i) { lanes[lane] += static_cast<double>(plane(x, n, c)[i]); });
    double sum = 0;
    reduce_lanes(1, lanes, &sum);
    return sum;
  }

  static void moments_in_double(const PlanarSource& x, const PlanarExtent& extent, Index c, const MomentsOut& out) {
    const auto count = static_cast<double>(extent.planes * extent.length);
    const double near = sum_in_double(x, extent, c) / count;
    double lanes[2][kLanes] = {};
    for_each_element(extent, [&](Index lane, Index n, Index i) {
      const double deviation = static_cast<double>(plane(x, n, c)[i]) - near;
      lanes[0][lane] += deviation;
      lanes[1][lane] += deviation * deviation;
    });
    double sum = 0;
    double sum_squares = 0;
    reduce_lanes(1, lanes[0], &sum);
    reduce_lanes(1, lanes[1], &sum_squares);
    const double m2 = sum_squares - sum * (sum / count);
    out.mean[c] = near + sum / count;
    out.m2[c] = m2 < 0 ? 0 : m2;
  }
};

}  // namespace
}  // namespace xbn::kernels
