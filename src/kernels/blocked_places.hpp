#pragma once

// Sums of short planes of many images in the blocked layouts: a plane is a row, and each of its places has a sum of its
// own down the images, which come together in the end.

#include "kernels/blocked_apply.hpp"
#include "kernels/row_sums.hpp"

namespace xbn::kernels {
namespace {

// Copies `count` positions of a block, of the last its channels alone.
inline void pack_positions(const float* from, Index row_pitch, Index count, Index block, Index channels, float* to) {
  for (Index r = 0; r < count; ++r) {
    const Index lanes = r + 1 < count ? block : channels;
    for (Index c = 0; c < lanes; ++c) to[r * block + c] = from[r * row_pitch + c];
  }
}

template <class A, class Reduction>
class PlaceSums {
  using Sources = SourcesOf<BlocksSource, Reduction::kSources>;

  // Planes of fewer lanes, of at least so many images. Moments of blocks of 8 gain more, which as columns have parts of
  // vectors and blocks of rows with few; gradients, whose sums are in double and so many, lose more.
  static constexpr Index kPlaces = 128;
  static constexpr Index kPlacesOfPairs = 512;
  static constexpr Index kLeastImages = 8;

 public:
  // Whether a tile's sums are taken so.
  static bool suit(const BlocksExtent& extent) {
    const bool many = Reduction::kParityMatters && extent.block < kLanes;
    return extent.length * extent.block < (many ? kPlacesOfPairs : kPlaces) && extent.images >= kLeastImages;
  }

  // Of each channel of the tile.
  static void add(const Sources& sources, const BlocksExtent& extent, const float* center,
                  const Sums<Reduction::kSums>& sums) {
    const Index band = kMaxLanes / (extent.length * extent.block);
    const Index blocks = blocks_of(extent);
    for (Index first = 0; first < blocks; first += band) {
      const Index count = blocks - first < band ? blocks - first : band;
      add_band(sources, extent, first, count, center, sums);
    }
  }

 private:
  // Planes that lie side by side make one row.
  static void add_band(const Sources& sources, const BlocksExtent& extent, Index first, Index count,
                       const float* center, const Sums<Reduction::kSums>& sums) {
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
          add_packed(sources, extent, first + of, centers + of * plane, places_from(of));
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
  static void add_packed(const Sources& sources, const BlocksExtent& extent, Index block, const float* center,
                         const Sums<Reduction::kSums>& sums) {
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
          pack_positions(plane_of(sources.of[i], images.first(index) + n * images.distance(), block),
                         sources.of[i].row_pitch, extent.length, extent.block, channels, packed[i] + n * kPitch);
        }
      }
      add_rows<A, Reduction>(rows, images.rows(index), (extent.length - 1) * extent.block + channels, center, sums,
                             RowOrder::by_turns, Reach::own_cache);
    }
  }
};

}  // namespace
}  // namespace xbn::kernels
