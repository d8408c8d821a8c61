#pragma once

// Where the tiles of a problem that is not plain lie in a caller's tensors: extents, sources and destinations for the
// fused kernels, which know no layouts.

#include "kernels/fused_table.hpp"
#include "plan.hpp"
#include "tiles.hpp"

namespace xbn::internal {

// A tensor of any type; strides resolved.
struct TypedIn {
  const void* data = nullptr;
  DataType type = DataType::f32;
  Strides strides{};
};

inline Index size_in(const TypedIn& tensor) { return static_cast<Index>(size_of(tensor.type)); }

struct TypedOut {
  void* data = nullptr;
  DataType type = DataType::f32;
  Strides strides{};
  bool owns_padding = true;
};

class FusedWalk {
 public:
  FusedWalk(const Problem& problem, const Tiling& tiling, const CacheSizes& caches)
      : problem_(problem), tiling_(tiling), caches_(caches) {}

  // lengths: of all samples, or null. element: bytes of what sums read, an element of each tensor.
  kernels::FusedExtent extent(ChannelRange group, const Piece& piece, const Index* lengths, Index element) const;
  // `ahead`: channels from each that is read to one that is fetched for the pass after it.
  kernels::FusedSource source(const TypedIn& tensor, ChannelRange group, const Piece& piece, Index ahead = 0) const;
  kernels::FusedDestination destination(const TypedOut& tensor, ChannelRange group, const Piece& piece) const;
  // In a layout of as many images, channels and positions.
  template <class Byte>
  kernels::FusedMask<Byte> mask(Byte* bytes, Layout layout, ChannelRange group, const Piece& piece) const;
  // The images of a piece, of which there are at least one.
  PlanesTile planes(const Piece& piece) const { return planes_tile(problem_, tiling_, piece); }

  // The sample that a tile is of; where tiles have several, the first.
  Index sample(Index tile) const { return planes_tile(problem_, tiling_, {tile, 0, 1}).first_plane; }
  // Elements a channel of a tile that are not void.
  Index elements(Index tile, const Index* lengths) const;

 private:
  Index offset(const Strides& strides, ChannelRange group, const PlanesTile& at) const;

  const Problem& problem_;
  const Tiling& tiling_;
  const CacheSizes& caches_;
};

}  // namespace xbn::internal
