#pragma once

// The blocked layouts, nCx8c and nCx16c: interleaved rows of one block of channels. The block's rows of one image are a
// plane; the walk goes over a group of blocks for each image, so that memory is read in order, and blocks of rows do
// not span planes. Two positions of nCx8c make one row of 16 lanes. Of a partial last block the pad lanes go along, but
// for the last position's, which need not be memory, and are dropped. Short planes of many images are rows themselves.

#include "kernels/blocked_apply.hpp"
#include "kernels/blocked_places.hpp"
#include "kernels/column_sums.hpp"
#include "kernels/pivots.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

template <class A>
struct Blocked {
  static void moments(const BlocksSource& x, const BlocksExtent& extent, const MomentsOut& out) {
    Alone alone;
    moments_beside(alone, x, extent, out);
  }

  static void prefetch_pivots(const BlocksSource& x, const BlocksExtent& extent) {
    for (Index i = 0; i < kLanes; ++i) {
      const float* from = x.data + pivot_offset(x, extent, i);
      for (Index b = 0; b < blocks_of(extent); ++b) prefetch(from + b * x.block_pitch);
    }
  }

  template <class Gradients = GradientReduction>
  static void gradient_sums(const BlocksSource& x, const BlocksSource& dy, const BlocksExtent& extent,
                            const float* mean, const GradientSumsOut& out) {
    Alone alone;
    if (x.data == nullptr) {
      accumulate<SumReduction>({{dy}}, extent, kNoCenter, {{out.dy}}, alone);
    } else {
      gradient_sums_beside<Gradients>(alone, x, dy, extent, mean, out);
    }
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

  static void apply_and_moments(const BlocksApplyTile& now, const BlocksSource& x, const BlocksExtent& extent,
                                const MomentsOut& out) {
    with_operation(now.x, now.affine, [&](const auto& sources, const auto& coefficients) {
      beside(sources, now.y, now.extent, coefficients, now.store,
             [&](auto& companion) { moments_beside(companion, x, extent, out); });
    });
  }

  static void gradient_apply_and_sums(const BlocksGradientApplyTile& now, const BlocksSource& x, const BlocksSource& dy,
                                      const BlocksExtent& extent, const float* mean, const GradientSumsOut& out) {
    with_operation(now.x, now.dy, now.affine, [&](const auto& sources, const auto& coefficients) {
      beside(sources, now.dx, now.extent, coefficients, now.store,
             [&](auto& companion) { gradient_sums_beside<GradientReduction>(companion, x, dy, extent, mean, out); });
    });
  }

 private:
  template <int kCount>
  using Sources = SourcesOf<BlocksSource, kCount>;

  static constexpr float kNoCenter[kMaxGroup * kLanes] = {};

  template <class Companion>
  static void moments_beside(Companion& companion, const BlocksSource& x, const BlocksExtent& extent,
                             const MomentsOut& out) {
    const Index count = extent.images * extent.length;
    alignas(64) float pivot[kMaxGroup * kLanes];
    find_pivots(x, extent, pivot);
    alignas(64) double sum[kMaxGroup * kLanes];
    alignas(64) double sum_squares[kMaxGroup * kLanes];
    accumulate<MomentsReduction>({{x}}, extent, pivot, {{sum, sum_squares}}, companion);
    unsigned char again[kMaxGroup * kLanes];
    if (!finish_moments(extent.channels, count, pivot, sum, sum_squares, out, again)) return;
    for_each_marked(extent, again, [&](Index b) { moments_in_double(x, extent, b, again, out); });
  }

  template <class Gradients, class Companion>
  static void gradient_sums_beside(Companion& companion, const BlocksSource& x, const BlocksSource& dy,
                                   const BlocksExtent& extent, const float* mean, const GradientSumsOut& out) {
    accumulate<Gradients>({{dy, x}}, extent, mean, {{out.dy, out.dy_x, out.x}}, companion);
  }

  // Calls with(companion), which applies the operation to the tile, and lets the companion finish.
  template <class Operation, class With>
  static void beside(const SourcesOf<BlocksSource, Operation::kSources>& sources, const BlocksDestination& destination,
                     const BlocksExtent& extent, const Coefficients<Operation>& coefficients, Store store,
                     const With& with) {
    const BlocksTile<Operation> tile{sources, destination, extent, coefficients};
    if (store == Store::streaming) {
      beside<Store::streaming>(tile, with);
    } else {
      beside<Store::ordinary>(tile, with);
    }
  }

  template <Store kStore, class Operation, class With>
  static void beside(const BlocksTile<Operation>& tile, const With& with) {
    using Runs = BlocksRuns<A, Operation, kStore>;
    Runs runs(tile);
    Beside<A, Operation, kStore, Runs> companion(runs);
    with(companion);
    companion.finish();
  }

  template <class Operation>
  static void run(const SourcesOf<BlocksSource, Operation::kSources>& sources, const BlocksDestination& destination,
                  const BlocksExtent& extent, const Coefficients<Operation>& coefficients, Store store) {
    const BlocksTile<Operation> tile{sources, destination, extent, coefficients};
    if (store == Store::streaming) {
      BlocksApply<A, Operation, Store::streaming>::run(tile);
    } else {
      BlocksApply<A, Operation, Store::ordinary>::run(tile);
    }
  }

  // Position i of 16 that are spread evenly over the tile.
  static Index pivot_offset(const BlocksSource& x, const BlocksExtent& extent, Index i) {
    const Index position = sample_place(i, extent.images * extent.length);
    return position / extent.length * x.image_pitch + position % extent.length * x.row_pitch;
  }

  static void find_pivots(const BlocksSource& x, const BlocksExtent& extent, float* pivot) {
    Index offset[kLanes];
    for (Index i = 0; i < kLanes; ++i) offset[i] = pivot_offset(x, extent, i);
    for (Index b = 0; b * extent.block < extent.channels; ++b) {
      const Index channels = channels_of(extent, b);
      Lanes<A> sample[kLanes];
      for (Index i = 0; i < kLanes; ++i) sample[i] = Lanes<A>::load_first(plane_of(x, 0, b) + offset[i], channels);
      mean_of_samples<A, float>(sample).store_first(pivot + b * extent.block, channels);
    }
  }

  // The sums of each channel of the tile. Each block of channels has 16 lanes.
  template <class Reduction, class Companion>
  static void accumulate(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent, const float* center,
                         const Sums<Reduction::kSums>& sums, Companion& companion) {
    if (PlaceSums<A, Reduction>::suit(extent)) return PlaceSums<A, Reduction>::add(sources, extent, center, sums);
    alignas(64) double lanes[Reduction::kSums][kMaxGroup * kLanes];
    alignas(64) float centers[kMaxGroup * kLanes];
    const Index blocks = blocks_of(extent);
    BlockSums<Reduction> of_blocks[kMaxGroup];
    for (Index b = 0; b < blocks; ++b) {
      const Index channels = channels_of(extent, b);
      BlockSums<Reduction>& block = of_blocks[b];
      block.center = channels == kLanes ? center + b * kLanes : centers + b * kLanes;
      for (int i = 0; i < Reduction::kSums; ++i) {
        block.sums.sum[i] = (channels == kLanes ? sums.sum[i] : lanes[i]) + b * kLanes;
        for (Index lane = 0; lane < kLanes; ++lane) block.sums.sum[i][lane] = 0;
      }
      if (channels == kHalf && extent.block == kHalf) {
        for (Index c = 0; c < kHalf; ++c) {
          centers[b * kLanes + c] = centers[b * kLanes + kHalf + c] = center[b * kHalf + c];
        }
      } else if (channels < kLanes) {
        for (Index lane = 0; lane < kLanes; ++lane) {
          const Index c = lane & (extent.block - 1);
          centers[b * kLanes + lane] = c < channels ? center[b * extent.block + c] : 0.0F;
        }
      }
    }
    accumulate_blocks<Reduction>(sources, extent, of_blocks, companion);
    for (Index b = 0; b < blocks; ++b) {
      const Index channels = channels_of(extent, b);
      if (channels == kLanes) continue;
      for (int i = 0; i < Reduction::kSums; ++i) {
        const double* const of_block = lanes[i] + b * kLanes;
        double* const to = sums.sum[i] + b * extent.block;
        if (channels == kHalf && extent.block == kHalf) {
          for (Index c = 0; c < kHalf; ++c) to[c] = of_block[c] + of_block[c + kHalf];
        } else {
          const bool folded = extent.block < kLanes;
          for (Index c = 0; c < channels; ++c) to[c] = folded ? of_block[c] + of_block[c + extent.block] : of_block[c];
        }
      }
    }
  }

  // Where a block's sums go, and what they are taken about: 16 lanes each.
  template <class Reduction>
  struct BlockSums {
    const float* center;
    Sums<Reduction::kSums> sums;
  };

  template <class Reduction, class Companion>
  static void accumulate_blocks(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent,
                                const BlockSums<Reduction>* of_blocks, Companion& companion) {
    const Index blocks = blocks_of(extent);
    if (!Companion::kWorks && extent.reach == Reach::own_cache && extent.length * extent.block < kShortPlane) {
      for (Index b = 0; b < blocks; ++b) add_planes<Reduction>(sources, extent, b, of_blocks[b]);
      return;
    }
    const Reading reading{extent.images, blocks, extent.length, extent.part};
    for (Index n = 0; n < extent.images; ++n) {
      for (Index b = 0; b < blocks; ++b) {
        const Place next = reading.after(n, b);
        Column<Reduction> column{};
        for (int i = 0; i < Reduction::kSources; ++i) {
          const BlocksSource& source = sources.of[i];
          column.rows.data[i] = plane_of(source, n, b);
          column.rows.stride[i] = source.row_pitch;
          column.next[i] = plane_of(source, next.image, next.block) + next.position * source.row_pitch;
        }
        add_plane(column, extent, channels_of(extent, b), of_blocks[b].center, of_blocks[b].sums, companion);
      }
    }
  }

  static constexpr Index kHalf = kLanes / 2;

  // Elements of planes that are short enough to be taken block by block, where caches are near enough not to mind.
  static constexpr Index kShortPlane = 1024;

  // The planes of one block, image by image.
  template <class Reduction>
  static void add_planes(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent, Index b,
                         const BlockSums<Reduction>& of_block) {
    const Index channels = channels_of(extent, b);
    Column<Reduction> column{};
    Index pitch[Reduction::kSources];
    for (int i = 0; i < Reduction::kSources; ++i) {
      column.rows.data[i] = plane_of(sources.of[i], 0, b);
      column.rows.stride[i] = sources.of[i].row_pitch;
      pitch[i] = sources.of[i].image_pitch;
    }
    if (channels == kLanes) {
      return add_columns<A, Reduction>(column.rows, extent.images, pitch, extent.length, 0, of_block.center,
                                       of_block.sums);
    }
    if (channels == extent.block && is_dense(column.rows, extent.block)) {
      for (Index& stride : column.rows.stride) stride = kLanes;
      const Index lanes = extent.length * extent.block;
      return add_columns<A, Reduction>(column.rows, extent.images, pitch, lanes / kLanes, lanes % kLanes,
                                       of_block.center, of_block.sums);
    }
    Alone alone;
    for (Index n = 0; n < extent.images; ++n) {
      add_plane(column, extent, channels, of_block.center, of_block.sums, alone);
      for (int i = 0; i < Reduction::kSources; ++i) column.rows.data[i] += pitch[i];
    }
  }

  // Positions that a packed copy holds.
  static constexpr Index kPackedRows = 256;

  template <int kSources>
  static bool is_dense(const Rows<kSources>& rows, Index block) {
    bool dense = true;
    for (const Index stride : rows.stride) dense = dense && stride == block;
    return dense;
  }

  // A plane of which the column's rows are the positions, of the last position `channels` channels.
  template <class Reduction, class Companion>
  static void add_plane(Column<Reduction> column, const BlocksExtent& extent, Index channels, const float* center,
                        const Sums<Reduction::kSums>& sums, Companion& companion) {
    const bool whole = channels == extent.block;
    if (extent.block == kLanes) {
      column.count = whole ? extent.length : extent.length - 1;
      return add_column<A>(column, column.count, whole ? 0 : channels, center, sums, companion, extent.reach);
    }
    const Rows<Reduction::kSources>& rows = column.rows;
    if (is_dense(rows, extent.block)) {
      return add_pairs(column, extent.length, channels, center, sums, companion, extent.reach);
    }
    alignas(64) float packed[Reduction::kSources][kPackedRows * kLanes / 2];
    for (Index first = 0; first < extent.length; first += kPackedRows) {
      const Index count = extent.length - first < kPackedRows ? extent.length - first : kPackedRows;
      Column<Reduction> copy{};
      for (int i = 0; i < Reduction::kSources; ++i) {
        pack_positions(rows.data[i] + first * rows.stride[i], rows.stride[i], count, extent.block, channels, packed[i]);
        copy.rows.data[i] = packed[i];
      }
      const Index last_channels = first + count < extent.length ? extent.block : channels;
      add_pairs(copy, count, last_channels, center, sums, companion, Reach::own_cache);
    }
  }

  // Positions of 8 channels, two at a time; of the last position `channels` channels.
  template <class Reduction, class Companion>
  static void add_pairs(Column<Reduction> column, Index count, Index channels, const float* center,
                        const Sums<Reduction::kSums>& sums, Companion& companion, Reach reach) {
    for (Index& stride : column.rows.stride) stride = kLanes;
    const Index lanes = (count - 1) * (kLanes / 2) + channels;
    column.count = lanes / kLanes;
    add_column<A>(column, column.count, lanes % kLanes, center, sums, companion, reach);
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
        const float* from = plane_of(x, n, b) + r * x.row_pitch;
        for (Index c = 0; c < channels; ++c) near[c] += static_cast<double>(from[c]);
      }
    }
    for (double& mean : near) mean /= count;
    double sum[kLanes] = {};
    double sum_squares[kLanes] = {};
    for (Index n = 0; n < extent.images; ++n) {
      for (Index r = 0; r < extent.length; ++r) {
        const float* from = plane_of(x, n, b) + r * x.row_pitch;
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
};

}  // namespace
}  // namespace xbn::kernels
