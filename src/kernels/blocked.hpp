#pragma once

// The blocked layouts, nCx8c and nCx16c: interleaved rows of one block of channels. The block's rows of one image are a
// plane; the walk goes over a group of blocks for each image, so that memory is read in order, and blocks of rows do
// not span planes. Two positions of nCx8c make one row of 16 lanes. Of a partial last block the pad lanes go along, but
// for the last position's, which need not be memory, and are dropped. Short planes of many images are rows themselves.

#include "kernels/blocked_apply.hpp"
#include "kernels/column_sums.hpp"
#include "kernels/pivots.hpp"
#include "kernels/row_sums.hpp"
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
    const Index position = (2 * i + 1) * (extent.images * extent.length) / (2 * kLanes);
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
    if (by_places<Reduction>(extent)) return accumulate_places<Reduction>(sources, extent, center, sums);
    alignas(64) double lanes[Reduction::kSums][kMaxGroup * kLanes];
    alignas(64) float centers[kMaxGroup * kLanes];
    const Index blocks = blocks_of(extent);
    for (Index b = 0; b < blocks; ++b) {
      for (Index lane = 0; lane < kLanes; ++lane) {
        const Index c = lane & (extent.block - 1);
        centers[b * kLanes + lane] = c < channels_of(extent, b) ? center[b * extent.block + c] : 0.0F;
        for (double* of_sum : lanes) of_sum[b * kLanes + lane] = 0;
      }
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
        Sums<Reduction::kSums> of_block;
        for (int i = 0; i < Reduction::kSums; ++i) of_block.sum[i] = lanes[i] + b * kLanes;
        add_plane(column, extent, channels_of(extent, b), centers + b * kLanes, of_block, companion);
      }
    }
    for (int i = 0; i < Reduction::kSums; ++i) {
      for (Index b = 0; b < blocks; ++b) {
        const double* of_block = lanes[i] + b * kLanes;
        for (Index c = 0; c < channels_of(extent, b); ++c) {
          const bool folded = extent.block < kLanes;
          sums.sum[i][b * extent.block + c] = folded ? of_block[c] + of_block[c + extent.block] : of_block[c];
        }
      }
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

  // Copies `count` positions of a block, of the last its channels alone.
  static void pack(const float* from, Index row_pitch, Index count, Index block, Index channels, float* to) {
    for (Index r = 0; r < count; ++r) {
      const Index lanes = r + 1 < count ? block : channels;
      for (Index c = 0; c < lanes; ++c) to[r * block + c] = from[r * row_pitch + c];
    }
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
        pack(rows.data[i] + first * rows.stride[i], rows.stride[i], count, extent.block, channels, packed[i]);
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

  // Planes of fewer lanes, of at least so many images. Moments of blocks of 8 gain more, which as columns have parts of
  // vectors and blocks of rows with few; gradients, whose sums are in double and so many, lose more.
  static constexpr Index kPlaces = 128;
  static constexpr Index kPlacesOfPairs = 512;
  static constexpr Index kLeastImages = 8;

  template <class Reduction>
  static bool by_places(const BlocksExtent& extent) {
    const bool many = Reduction::kParityMatters && extent.block < kLanes;
    return extent.length * extent.block < (many ? kPlacesOfPairs : kPlaces) && extent.images >= kLeastImages;
  }

  // A plane is a row, and each of its places has a sum of its own down the images. Planes that lie side by side make
  // one row.
  template <class Reduction>
  static void accumulate_places(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent,
                                const float* center, const Sums<Reduction::kSums>& sums) {
    const Index band = kMaxLanes / (extent.length * extent.block);
    const Index blocks = blocks_of(extent);
    for (Index first = 0; first < blocks; first += band) {
      const Index count = blocks - first < band ? blocks - first : band;
      add_band<Reduction>(sources, extent, first, count, center, sums);
    }
  }

  template <class Reduction>
  static void add_band(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent, Index first,
                       Index count, const float* center, const Sums<Reduction::kSums>& sums) {
    const Index plane = extent.length * extent.block;
    bool dense = true;
    bool side_by_side = true;
    for (const BlocksSource& source : sources.of) {
      dense = dense && source.row_pitch == extent.block;
      side_by_side = side_by_side && source.block_pitch == plane;
    }
    alignas(64) float centers[kMaxLanes];
    alignas(64) double places[Reduction::kSums][kSumsPitch];
    for (Index b = 0; b < count; ++b) {
      const Index channels = channels_of(extent, first + b);
      for (Index c = 0; c < extent.block; ++c) {
        centers[b * plane + c] = c < channels ? center[(first + b) * extent.block + c] : 0.0F;
      }
      for (Index i = extent.block; i < plane; ++i) centers[b * plane + i] = centers[b * plane + i - extent.block];
    }
    for (double* of_sum : places) {
      for (Index i = 0; i < count * plane + kLanes; ++i) of_sum[i] = 0;
    }
    const auto places_from = [&](Index b) {
      Sums<Reduction::kSums> result;
      for (int i = 0; i < Reduction::kSums; ++i) result.sum[i] = places[i] + b * plane;
      return result;
    };
    // Up to the last position's channels.
    const auto lanes_of = [&](Index b) { return plane - extent.block + channels_of(extent, first + b); };
    const Index together = side_by_side ? count : 1;
    for (Index b = 0; b < count; b += together) {
      const Index lanes = (together - 1) * plane + lanes_of(b + together - 1);
      if (dense) {
        Rows<Reduction::kSources> rows;
        for (int i = 0; i < Reduction::kSources; ++i) {
          rows.data[i] = plane_of(sources.of[i], 0, first + b);
          rows.stride[i] = sources.of[i].image_pitch;
        }
        add_rows<A, Reduction>(rows, extent.images, lanes, centers + b * plane, places_from(b),
                               RowOrder::by_turns_of_images, extent.reach);
      } else {
        for (Index of = b; of < b + together; ++of) {
          add_packed_places<Reduction>(sources, extent, first + of, centers + of * plane, places_from(of));
        }
      }
    }
    for (int i = 0; i < Reduction::kSums; ++i) {
      for (Index b = 0; b < count; ++b) {
        const double* const of_block = places[i] + b * plane;
        double total[kLanes] = {};
        for (Index r = 0; r < extent.length; ++r) {
          for (Index c = 0; c < extent.block; ++c) total[c] += of_block[r * extent.block + c];
        }
        for (Index c = 0; c < channels_of(extent, first + b); ++c) {
          sums.sum[i][(first + b) * extent.block + c] = total[c];
        }
      }
    }
  }

  // Of one block, in the order in which add_rows takes images.
  template <class Reduction>
  static void add_packed_places(const Sources<Reduction::kSources>& sources, const BlocksExtent& extent, Index block,
                                const float* center, const Sums<Reduction::kSums>& sums) {
    const Index channels = channels_of(extent, block);
    const Blocks images = blocks_of_rows<Reduction>(extent.images, RowOrder::by_turns);
    constexpr Index kPitch = Reduction::kParityMatters ? kPlacesOfPairs : kPlaces;
    alignas(64) float packed[Reduction::kSources][Reduction::kRowsAtOnce * kPitch];
    Rows<Reduction::kSources> rows;
    for (int i = 0; i < Reduction::kSources; ++i) {
      rows.data[i] = packed[i];
      rows.stride[i] = kPitch;
    }
    for (Index index = 0; index < images.count; ++index) {
      for (int i = 0; i < Reduction::kSources; ++i) {
        for (Index n = 0; n < images.rows(index); ++n) {
          pack(plane_of(sources.of[i], images.first(index) + n * images.distance(), block), sources.of[i].row_pitch,
               extent.length, extent.block, channels, packed[i] + n * kPitch);
        }
      }
      add_rows<A, Reduction>(rows, images.rows(index), (extent.length - 1) * extent.block + channels, center, sums,
                             RowOrder::by_turns, Reach::own_cache);
    }
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
