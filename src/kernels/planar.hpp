#pragma once

// The planar family: planes of consecutive positions of one channel (ncw, nchw, ncdhw). A row is 16 positions; blocks
// do not span planes. The walk goes over a group of channels for each image, so that memory is read in order even where
// planes are small.

#include "kernels/elementwise.hpp"
#include "kernels/reductions.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

// Planes smaller than this are walked position by position where there are enough of them.
inline constexpr Index kSmallPlane = 256;
// Fewer planes than this are not worth repeating coefficients for.
inline constexpr Index kFewPlanes = 4;

template <class A>
struct Planar {
  static void moments(const PlanarSource& x, const PlanarExtent& extent, const MomentsOut& out) {
    const Index count = extent.planes * extent.length;
    alignas(64) float pivot[kMaxGroup];
    find_pivots(x, extent, pivot);
    double sum[kMaxGroup];
    double sum_squares[kMaxGroup];
    accumulate<MomentsReduction>({{x}}, extent, pivot, {{sum, sum_squares}});
    unsigned char again[kMaxGroup];
    if (!finish_moments(extent.channels, count, pivot, sum, sum_squares, out, again)) return;
    for (Index c = 0; c < extent.channels; ++c) {
      if (again[c] != 0) moments_in_double(x, extent, c, out);
    }
  }

  static void gradient_sums(const PlanarSource& x, const PlanarSource& dy, const PlanarExtent& extent,
                            const float* mean, const GradientSumsOut& out) {
    if (x.data == nullptr) {
      const float unused[kMaxGroup] = {};
      accumulate<SumReduction>({{dy}}, extent, unused, {{out.dy}});
      return;
    }
    accumulate<GradientReduction>({{dy, x}}, extent, mean, {{out.dy, out.dy_x, out.x}});
    unsigned char again[kMaxGroup];
    if (!gradient_sums_unsound(extent.channels, out, again)) return;
    for (Index c = 0; c < extent.channels; ++c) {
      if (again[c] != 0) gradient_sums_in_double(x, dy, extent, c, mean[c], out);
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

 private:
  template <int kCount>
  using Sources = SourcesOf<PlanarSource, kCount>;

  static const float* plane(const PlanarSource& source, Index n, Index c) {
    return source.data + n * source.plane_pitch + c * source.channel_pitch;
  }

  // The mean of 16 elements spread evenly over the tile, as a tree: 16 equal elements give back exactly themselves.
  static void find_pivots(const PlanarSource& x, const PlanarExtent& extent, float* pivot) {
    const Index count = extent.planes * extent.length;
    alignas(64) float sample[kLanes][kMaxGroup] = {};
    for (Index i = 0; i < kLanes; ++i) {
      const Index element = (2 * i + 1) * count / (2 * kLanes);
      const float* from = plane(x, element / extent.length, 0) + element % extent.length;
      for (Index c = 0; c < extent.channels; ++c) sample[i][c] = from[c * x.channel_pitch];
    }
    for (Index half = kLanes / 2; half > 0; half /= 2) {
      for (Index i = 0; i < half; ++i) {
        for (Index c = 0; c < kMaxGroup; ++c) sample[i][c] += sample[i + half][c];
      }
    }
    for (Index c = 0; c < kMaxGroup; ++c) pivot[c] = sample[0][c] * (1.0F / kLanes);
  }

  // The sums of each channel of the tile.
  template <class Reduction>
  static void accumulate(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent, const float* center,
                         const Sums<Reduction::kSums>& sums) {
    if (extent.length < kSmallPlane && extent.planes >= kBlockRows) {
      accumulate_positions<Reduction>(sources, extent, center, sums);
    } else {
      accumulate_planes<Reduction>(sources, extent, center, sums);
    }
  }

  template <class Reduction>
  static void accumulate_planes(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent,
                                const float* center, const Sums<Reduction::kSums>& sums) {
    alignas(64) double lanes[Reduction::kSums][kMaxGroup * kLanes] = {};
    for (Index n = 0; n < extent.planes; ++n) {
      for (Index c = 0; c < extent.channels; ++c) {
        Rows<Reduction::kSources> rows;
        for (int i = 0; i < Reduction::kSources; ++i) {
          rows.data[i] = plane(sources.of[i], n, c);
          rows.stride[i] = kLanes;
        }
        alignas(64) float centers[kLanes];
        Lanes<A>::all(center[c]).store(centers);
        Sums<Reduction::kSums> of_channel;
        for (int i = 0; i < Reduction::kSums; ++i) of_channel.sum[i] = lanes[i] + c * kLanes;
        add_column<A, Reduction>(rows, extent.length / kLanes, extent.length % kLanes, centers, of_channel);
      }
    }
    for (int i = 0; i < Reduction::kSums; ++i) reduce_lanes(extent.channels, lanes[i], sums.sum[i]);
  }

  // Small planes of many images: a plane is a row, and each position of it has a sum of its own down the images, so
  // that neither tails nor the ends of blocks show. Planes that lie side by side make one row.
  template <class Reduction>
  static void accumulate_positions(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent,
                                   const float* center, const Sums<Reduction::kSums>& sums) {
    bool side_by_side = true;
    for (const PlanarSource& source : sources.of) side_by_side = side_by_side && source.channel_pitch == extent.length;
    const Index band = kMaxLanes / extent.length;
    for (Index first = 0; first < extent.channels; first += band) {
      const Index channels = extent.channels - first < band ? extent.channels - first : band;
      const Index lanes = channels * extent.length;
      alignas(64) float centers[kMaxLanes];
      for (Index c = 0; c < channels; ++c) {
        for (Index i = 0; i < extent.length; ++i) centers[c * extent.length + i] = center[first + c];
      }
      alignas(64) double positions[Reduction::kSums][kMaxLanes + kLanes];
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
        add_rows<A, Reduction>(rows, extent.planes, row_planes * extent.length, centers + c * extent.length, of_row);
      }
      for (int i = 0; i < Reduction::kSums; ++i) {
        for (Index c = 0; c < channels; ++c) {
          sums.sum[i][first + c] = reduce_positions(positions[i] + c * extent.length, extent.length);
        }
      }
    }
  }

  static double reduce_positions(const double* positions, Index length) {
    double lanes[kLanes] = {};
    Index i = 0;
    for (; i + kLanes <= length; i += kLanes) {
      for (Index lane = 0; lane < kLanes; ++lane) lanes[lane] += positions[i + lane];
    }
    for (Index lane = 0; i + lane < length; ++lane) lanes[lane] += positions[i + lane];
    double sum = 0;
    reduce_lanes(1, lanes, &sum);
    return sum;
  }

  static void reduce_lanes(Index channels, double* lanes, double* sum) {
    for (Index c = 0; c < channels; ++c) {
      double* of_channel = lanes + c * kLanes;
      for (Index half = kLanes / 2; half > 0; half /= 2) {
        for (Index i = 0; i < half; ++i) of_channel[i] += of_channel[i + half];
      }
      sum[c] = of_channel[0];
    }
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

  static void gradient_sums_in_double(const PlanarSource& x, const PlanarSource& dy, const PlanarExtent& extent,
                                      Index c, float mean, const GradientSumsOut& out) {
    double lanes[2][kLanes] = {};
    for_each_element(extent, [&](Index lane, Index n, Index i) {
      const auto gradient = static_cast<double>(plane(dy, n, c)[i]);
      const double deviation = static_cast<double>(plane(x, n, c)[i]) - static_cast<double>(mean);
      lanes[0][lane] += gradient * deviation;
      lanes[1][lane] += deviation;
    });
    reduce_lanes(1, lanes[0], out.dy_x + c);
    reduce_lanes(1, lanes[1], out.x + c);
  }

  template <class Operation>
  static void run(const Sources<Operation::kSources>& sources, const PlanarDestination& destination,
                  const PlanarExtent& extent, const Coefficients<Operation>& coefficients, Store store) {
    if (store == Store::streaming) {
      run_storing<Operation, Store::streaming>(sources, destination, extent, coefficients);
      stream_fence();
    } else {
      run_storing<Operation, Store::ordinary>(sources, destination, extent, coefficients);
    }
  }

  template <class Operation, Store kStore>
  static void run_storing(const Sources<Operation::kSources>& sources, const PlanarDestination& destination,
                          const PlanarExtent& extent, const Coefficients<Operation>& coefficients) {
    if (extent.length < kSmallPlane && extent.planes >= kFewPlanes && extent.length % kLanes != 0 &&
        run_positions<Operation, kStore>(sources, destination, extent, coefficients)) {
      return;
    }
    for (Index n = 0; n < extent.planes; ++n) {
      for (Index c = 0; c < extent.channels; ++c) {
        Streams<Operation> streams;
        for (int i = 0; i < Operation::kSources; ++i) streams.source[i] = plane(sources.of[i], n, c);
        streams.destination = destination.data + n * destination.plane_pitch + c * destination.channel_pitch;
        Lanes<A> coefficient[Operation::kCoefficients];
        for (int i = 0; i < Operation::kCoefficients; ++i) {
          coefficient[i] = Lanes<A>::all(coefficients.of[i][c]);
        }
        apply_run<A, Operation, kStore>(streams, extent.length, coefficient);
      }
    }
  }

  // Small planes that lie side by side: as many as fit make one row, with coefficients repeated for every position.
  // Returns false, having done nothing, where they do not lie so or a streaming store would find rows misaligned.
  template <class Operation, Store kStore>
  static bool run_positions(const Sources<Operation::kSources>& sources, const PlanarDestination& destination,
                            const PlanarExtent& extent, const Coefficients<Operation>& coefficients) {
    for (const PlanarSource& source : sources.of) {
      if (source.channel_pitch != extent.length) return false;
    }
    if (destination.channel_pitch != extent.length) return false;
    Index band = kMaxLanes / extent.length;
    if constexpr (kStore == Store::streaming) {
      Index aligned = 1;
      while (aligned * extent.length % kLanes != 0) aligned *= 2;
      band = band / aligned * aligned;
      if (band == 0 || destination.plane_pitch % kLanes != 0 || misaligned_elements(destination.data) != 0)
        return false;
    }
    for (Index first = 0; first < extent.channels; first += band) {
      const Index channels = extent.channels - first < band ? extent.channels - first : band;
      alignas(64) float repeated[Operation::kCoefficients][kMaxLanes];
      Coefficients<Operation> of_lanes;
      for (int i = 0; i < Operation::kCoefficients; ++i) {
        for (Index c = 0; c < channels; ++c) {
          for (Index p = 0; p < extent.length; ++p) {
            repeated[i][c * extent.length + p] = coefficients.of[i][first + c];
          }
        }
        of_lanes.of[i] = repeated[i];
      }
      RowStreams<Operation> rows;
      for (int i = 0; i < Operation::kSources; ++i) {
        rows.first.source[i] = plane(sources.of[i], 0, first);
        rows.source_stride[i] = sources.of[i].plane_pitch;
      }
      rows.first.destination = destination.data + first * destination.channel_pitch;
      rows.destination_stride = destination.plane_pitch;
      apply_rows<A, Operation, kStore>(rows, extent.planes, channels * extent.length, of_lanes);
    }
    return true;
  }
};

}  // namespace
}  // namespace xbn::kernels
