#pragma once

// The planar family: planes of consecutive positions of one channel (ncw, nchw, ncdhw). A row is 16 positions; blocks
// do not span planes. The walk goes over a group of channels for each image, so that memory is read in order even where
// planes are small.

#include "kernels/elementwise.hpp"
#include "kernels/reductions.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

template <class A>
struct Planar {
  static void moments(const PlanarSource& x, const PlanarExtent& extent, const MomentsOut& out) {
    const Index count = extent.planes * extent.length;
    alignas(64) float pivot[kMaxGroup];
    find_pivots(x, extent, pivot);
    alignas(64) double lanes[2][kMaxGroup * kLanes] = {};
    accumulate<MomentsReduction>({{x}}, extent, pivot, {{lanes[0], lanes[1]}});
    double sum[kMaxGroup];
    double sum_squares[kMaxGroup];
    reduce_lanes(extent.channels, lanes[0], sum);
    reduce_lanes(extent.channels, lanes[1], sum_squares);
    unsigned char again[kMaxGroup];
    if (!finish_moments(extent.channels, count, pivot, sum, sum_squares, out, again)) return;
    for (Index c = 0; c < extent.channels; ++c) {
      if (again[c] != 0) moments_in_double(x, extent, c, out);
    }
  }

  static void gradient_sums(const PlanarSource& x, const PlanarSource& dy, const PlanarExtent& extent,
                            const float* mean, const GradientSumsOut& out) {
    alignas(64) double lanes[3][kMaxGroup * kLanes] = {};
    if (x.data == nullptr) {
      alignas(64) const float zero[kMaxGroup] = {};
      accumulate<SumReduction>({{dy}}, extent, zero, {{lanes[0]}});
      reduce_lanes(extent.channels, lanes[0], out.dy);
      return;
    }
    accumulate<GradientReduction>({{dy, x}}, extent, mean, {{lanes[0], lanes[1], lanes[2]}});
    reduce_lanes(extent.channels, lanes[0], out.dy);
    reduce_lanes(extent.channels, lanes[1], out.dy_x);
    reduce_lanes(extent.channels, lanes[2], out.x);
    unsigned char again[kMaxGroup];
    if (!gradient_sums_unsound(extent.channels, out, again)) return;
    for (Index c = 0; c < extent.channels; ++c) {
      if (again[c] != 0) gradient_sums_in_double(x, dy, extent, c, mean[c], out);
    }
  }

  static void apply(const PlanarSource& x, const PlanarDestination& y, const PlanarExtent& extent, const Affine& affine,
                    Store store) {
    if (affine.mean != nullptr) {
      run<ApplyCentered>({{x}}, y, extent, {{affine.mean, affine.scale, affine.shift}}, store);
    } else {
      run<ApplyFolded>({{x}}, y, extent, {{affine.scale, affine.shift}}, store);
    }
  }

  static void gradient_apply(const PlanarSource& x, const PlanarSource& dy, const PlanarDestination& dx,
                             const PlanarExtent& extent, const GradientAffine& affine, Store store) {
    if (affine.b != nullptr) {
      run<ApplyGradient>({{dy, x}}, dx, extent, {{affine.mean, affine.a, affine.b, affine.c}}, store);
    } else {
      run<ApplyScale>({{dy}}, dx, extent, {{affine.a}}, store);
    }
  }

 private:
  template <int kCount>
  struct Sources {
    PlanarSource of[kCount];
  };

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

  // sums[i][c * 16 + lane]
  template <class Reduction>
  static void accumulate(const Sources<Reduction::kSources>& sources, const PlanarExtent& extent, const float* center,
                         const Sums<Reduction::kSums>& sums) {
    for (Index n = 0; n < extent.planes; ++n) {
      for (Index c = 0; c < extent.channels; ++c) {
        Rows<Reduction::kSources> rows;
        for (int i = 0; i < Reduction::kSources; ++i) {
          rows.data[i] = plane(sources.of[i], n, c);
          rows.stride[i] = kLanes;
        }
        alignas(64) float centers[kLanes];
        Lanes<A>::all(center[c]).store(centers);
        Sums<Reduction::kSums> of_channel = sums;
        for (double*& sum : of_channel.sum) sum += c * kLanes;
        add_column<A, Reduction>(rows, extent.length / kLanes, extent.length % kLanes, centers, of_channel);
      }
    }
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
};

}  // namespace
}  // namespace xbn::kernels
