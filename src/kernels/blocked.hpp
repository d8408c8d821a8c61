#pragma once

// The blocked layouts, nCx8c and nCx16c: interleaved rows of one block of channels. The block's rows of one image are a
// plane; the walk goes over a group of blocks for each image, so that memory is read in order, and blocks of rows do
// not span planes. Two positions of nCx8c make one row of 16 lanes. The rows of a partial last block are taken one by
// one.

#include "kernels/elementwise.hpp"
#include "kernels/reductions.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

template <class A>
struct Blocked {
  static void moments(const BlocksSource& x, const BlocksExtent& extent, const MomentsOut& out) {
    const Index count = extent.images * extent.length;
    alignas(64) float pivot[kMaxGroup * kLanes];
    find_pivots(x, extent, pivot);
    alignas(64) double sum[kMaxGroup * kLanes];
    alignas(64) double sum_squares[kMaxGroup * kLanes];
    accumulate<MomentsReduction>({{x}}, extent, pivot, {{sum, sum_squares}});
    unsigned char again[kMaxGroup * kLanes];
    if (!finish_moments(extent.channels, count, pivot, sum, sum_squares, out, again)) return;
    for_each_marked(extent, again, [&](Index b) { moments_in_double(x, extent, b, again, out); });
  }

  static void gradient_sums(const BlocksSource& x, const BlocksSource& dy, const BlocksExtent& extent,
                            const float* mean, const GradientSumsOut& out) {
    if (x.data == nullptr) {
      const float unused[kMaxGroup * kLanes] = {};
      accumulate<SumReduction>({{dy}}, extent, unused, {{out.dy}});
      return;
    }
    accumulate<GradientReduction>({{dy, x}}, extent, mean, {{out.dy, out.dy_x, out.x}});
    unsigned char again[kMaxGroup * kLanes];
    if (!gradient_sums_unsound(extent.channels, out, again)) return;
    for_each_marked(extent, again, [&](Index b) { gradient_sums_in_double(x, dy, extent, b, again, mean, out); });
  }

  static void apply(const BlocksSource& x, const BlocksDestination& y, const BlocksExtent& extent, const Affine& affine,
                    Store store) {
    with_operation(x, affine, [&](const auto& sources, const auto& coefficients) {
      run(sources, y, extent, coefficients, store);
    });
  }

  static void gradient_apply(const BlocksSource& x, const BlocksSource& dy, const BlocksDestination& dx,
                             const BlocksExtent& extent, const GradientAffine& affine, Store store) {
    with_operation(x, dy, affine, [&](const auto& sources, const auto& coefficients) {
      run(sources, dx, extent, coefficients, store);
    });
  }

 private:
  template <int kCount>
  using Sources = SourcesOf<BlocksSource, kCount>;

  // Channels of block `index` of the group.
  static Index channels_of(const BlocksExtent& extent, Index index) {
    const Index left = extent.channels - index * extent.block;
    return left < extent.block ? left : extent.block;
  }

  template <class Tensor>
  static auto* plane(const Tensor& tensor, Index image, Index block) {
    return tensor.data + image * tensor.image_pitch + block * tensor.block_pitch;
  }

  // The mean of 16 positions spread evenly over the tile, as a tree: 16 equal elements give back exactly themselves.
  static void find_pivots(const BlocksSource& x, const BlocksExtent& extent, float* pivot) {
    const Index count = extent.images * extent.length;
    Index offset[kLanes];
    for (Index i = 0; i < kLanes; ++i) {
      const Index element = (2 * i + 1) * count / (2 * kLanes);
      offset[i] = element / extent.length * x.image_pitch + element % extent.length * x.row_pitch;
    }
    for (Index b = 0; b * extent.block < extent.channels; ++b) {
      const Index channels = channels_of(extent, b);
      Lanes<A> value[kLanes];
      for (Index i = 0; i < kLanes; ++i) value[i] = Lanes<A>::load_first(plane(x, 0, b) + offset[i], channels);
      for (Index half = kLanes / 2; half > 0; half /= 2) {
        for (Index i = 0; i < half; ++i) value[i] = value[i] + value[i + half];
      }
      (value[0] * Lanes<A>::all(1.0F / kLanes)).store_first(pivot + b * extent.block, channels);
    }
  }

  // The sums of each channel of the tile. Each block of channels has 16 lanes.
  template <class Reduction>
  static void accumulate(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent, const float* center,
                         const Sums<Reduction::kSums>& sums) {
    alignas(64) double lanes[Reduction::kSums][kMaxGroup * kLanes];
    alignas(64) float centers[kMaxGroup * kLanes];
    const Index blocks = (extent.channels + extent.block - 1) / extent.block;
    for (Index b = 0; b < blocks; ++b) {
      for (Index lane = 0; lane < kLanes; ++lane) {
        const Index c = lane % extent.block;
        centers[b * kLanes + lane] = c < channels_of(extent, b) ? center[b * extent.block + c] : 0.0F;
        for (double* of_sum : lanes) of_sum[b * kLanes + lane] = 0;
      }
    }
    for (Index n = 0; n < extent.images; ++n) {
      for (Index b = 0; b < blocks; ++b) {
        Rows<Reduction::kSources> rows;
        for (int i = 0; i < Reduction::kSources; ++i) {
          rows.data[i] = plane(sources.of[i], n, b);
          rows.stride[i] = sources.of[i].row_pitch;
        }
        Sums<Reduction::kSums> of_block;
        for (int i = 0; i < Reduction::kSums; ++i) of_block.sum[i] = lanes[i] + b * kLanes;
        add_plane<Reduction>(rows, extent, channels_of(extent, b), centers + b * kLanes, of_block);
      }
    }
    for (int i = 0; i < Reduction::kSums; ++i) {
      for (Index b = 0; b < blocks; ++b) {
        const double* of_block = lanes[i] + b * kLanes;
        const bool folded = extent.block < kLanes && channels_of(extent, b) == extent.block;
        for (Index c = 0; c < channels_of(extent, b); ++c) {
          sums.sum[i][b * extent.block + c] = folded ? of_block[c] + of_block[c + extent.block] : of_block[c];
        }
      }
    }
  }

  // Positions that a packed copy holds.
  static constexpr Index kPackedRows = 256;

  template <class Reduction>
  static void add_plane(const Rows<Reduction::kSources>& rows, const BlocksExtent& extent, Index channels,
                        const float* center, const Sums<Reduction::kSums>& sums) {
    if (channels < extent.block) return add_rows<A, Reduction>(rows, extent.length, channels, center, sums);
    if (extent.block == kLanes) return add_column<A, Reduction>(rows, extent.length, 0, center, sums);
    bool dense = true;
    for (const Index stride : rows.stride) dense = dense && stride == extent.block;
    if (dense) return add_pairs<Reduction>(rows, extent.length, center, sums);
    alignas(64) float packed[Reduction::kSources][kPackedRows * kLanes / 2];
    for (Index first = 0; first < extent.length; first += kPackedRows) {
      const Index count = extent.length - first < kPackedRows ? extent.length - first : kPackedRows;
      Rows<Reduction::kSources> copy;
      for (int i = 0; i < Reduction::kSources; ++i) {
        for (Index r = 0; r < count; ++r) {
          const float* from = rows.data[i] + (first + r) * rows.stride[i];
          for (Index c = 0; c < extent.block; ++c) packed[i][r * extent.block + c] = from[c];
        }
        copy.data[i] = packed[i];
      }
      add_pairs<Reduction>(copy, count, center, sums);
    }
  }

  // Rows of 8 channels, two at a time.
  template <class Reduction>
  static void add_pairs(Rows<Reduction::kSources> rows, Index count, const float* center,
                        const Sums<Reduction::kSums>& sums) {
    for (Index& stride : rows.stride) stride = kLanes;
    add_column<A, Reduction>(rows, count / 2, count % 2 * (kLanes / 2), center, sums);
  }

  // Calls redo(block) for each block of which a channel is marked.
  template <class Redo>
  static void for_each_marked(const BlocksExtent& extent, const unsigned char* marked, Redo redo) {
    for (Index b = 0; b * extent.block < extent.channels; ++b) {
      bool any = false;
      for (Index c = 0; c < channels_of(extent, b); ++c) any = any || marked[b * extent.block + c] != 0;
      if (any) redo(b);
    }
  }

  static void moments_in_double(const BlocksSource& x, const BlocksExtent& extent, Index b, const unsigned char* marked,
                                const MomentsOut& out) {
    const Index channels = channels_of(extent, b);
    const auto count = static_cast<double>(extent.images * extent.length);
    double near[kLanes] = {};
    for (Index n = 0; n < extent.images; ++n) {
      for (Index r = 0; r < extent.length; ++r) {
        const float* from = plane(x, n, b) + r * x.row_pitch;
        for (Index c = 0; c < channels; ++c) near[c] += static_cast<double>(from[c]);
      }
    }
    for (double& mean : near) mean /= count;
    double sum[kLanes] = {};
    double sum_squares[kLanes] = {};
    for (Index n = 0; n < extent.images; ++n) {
      for (Index r = 0; r < extent.length; ++r) {
        const float* from = plane(x, n, b) + r * x.row_pitch;
        for (Index c = 0; c < channels; ++c) {
          const double deviation = static_cast<double>(from[c]) - near[c];
          sum[c] += deviation;
          sum_squares[c] += deviation * deviation;
        }
      }
    }
    for (Index c = 0; c < channels; ++c) {
      if (marked[b * extent.block + c] == 0) continue;
      const double m2 = sum_squares[c] - sum[c] * (sum[c] / count);
      out.mean[b * extent.block + c] = near[c] + sum[c] / count;
      out.m2[b * extent.block + c] = m2 < 0 ? 0 : m2;
    }
  }

  static void gradient_sums_in_double(const BlocksSource& x, const BlocksSource& dy, const BlocksExtent& extent,
                                      Index b, const unsigned char* marked, const float* mean,
                                      const GradientSumsOut& out) {
    const Index channels = channels_of(extent, b);
    const Index first = b * extent.block;
    double sum[2][kLanes] = {};
    for (Index n = 0; n < extent.images; ++n) {
      for (Index r = 0; r < extent.length; ++r) {
        const float* from = plane(x, n, b) + r * x.row_pitch;
        const float* gradient = plane(dy, n, b) + r * dy.row_pitch;
        for (Index c = 0; c < channels; ++c) {
          const double deviation = static_cast<double>(from[c]) - static_cast<double>(mean[first + c]);
          sum[0][c] += static_cast<double>(gradient[c]) * deviation;
          sum[1][c] += deviation;
        }
      }
    }
    for (Index c = 0; c < channels; ++c) {
      if (marked[first + c] == 0) continue;
      out.dy_x[first + c] = sum[0][c];
      out.x[first + c] = sum[1][c];
    }
  }

  template <class Operation>
  static void run(const Sources<Operation::kSources>& sources, const BlocksDestination& destination,
                  const BlocksExtent& extent, const Coefficients<Operation>& coefficients, Store store) {
    bool dense = destination.row_pitch == extent.block;
    for (const BlocksSource& source : sources.of) dense = dense && source.row_pitch == extent.block;
    bool streamed = false;
    const Index blocks = (extent.channels + extent.block - 1) / extent.block;
    for (Index n = 0; n < extent.images; ++n) {
      for (Index b = 0; b < blocks; ++b) {
        const Index channels = channels_of(extent, b);
        Lanes<A> coefficient[Operation::kCoefficients];
        for (int i = 0; i < Operation::kCoefficients; ++i) {
          coefficient[i] = lanes_of(coefficients.of[i] + b * extent.block, channels, extent.block);
        }
        Streams<Operation> streams;
        for (int i = 0; i < Operation::kSources; ++i) streams.source[i] = plane(sources.of[i], n, b);
        streams.destination = plane(destination, n, b);
        if (!dense || channels < extent.block) {
          run_plane_by_rows<Operation>(streams, sources, destination, extent, channels, coefficient);
          continue;
        }
        // A run that begins in the middle of a line streams only if its lanes still fit their coefficients then.
        if (store == Store::streaming && misaligned_elements(streams.destination) % extent.block == 0) {
          apply_run<A, Operation, Store::streaming>(streams, extent.length * extent.block, coefficient);
          streamed = true;
        } else {
          apply_run<A, Operation, Store::ordinary>(streams, extent.length * extent.block, coefficient);
        }
      }
    }
    if (streamed) stream_fence();
  }

  static Lanes<A> lanes_of(const float* coefficient, Index channels, Index block) {
    if (channels < block || block == kLanes) return Lanes<A>::load_first(coefficient, channels);
    alignas(64) float twice[kLanes];
    for (Index lane = 0; lane < kLanes; ++lane) twice[lane] = coefficient[lane % block];
    return Lanes<A>::load(twice);
  }

  template <class Operation>
  static void run_plane_by_rows(Streams<Operation> streams, const Sources<Operation::kSources>& sources,
                                const BlocksDestination& destination, const BlocksExtent& extent, Index channels,
                                const Lanes<A>* coefficient) {
    const Index pad = destination.owns_padding ? extent.block - channels : 0;
    for (Index r = 0; r < extent.length; ++r) {
      compute_first<A>(streams, 0, channels, coefficient);
      if (pad > 0) Lanes<A>::all(0).store_first(streams.destination + channels, pad);
      for (int i = 0; i < Operation::kSources; ++i) streams.source[i] += sources.of[i].row_pitch;
      streams.destination += destination.row_pitch;
    }
  }
};

}  // namespace
}  // namespace xbn::kernels
