#pragma once

// Which part of a problem a tile is, or a piece of one.

#include "plan.hpp"

namespace xbn::internal {

struct ChannelRange {
  Index first;
  Index count;
};

// A part of a tile, piece `index` of `of`; or `tiles` whole ones: of rows, of whole planes, or from one plane.
struct Piece {
  Index tile;
  Index index;
  Index of;
  Index tiles = 1;
};

// Planes of a planar or blocked tensor, and positions of them.
struct PlanesTile {
  Index first_plane;
  Index planes;
  Index offset;
  Index length;
};

PlanesTile planes_tile(const Problem& problem, const Tiling& tiling, const Piece& piece);

// Part `index` of `of` of [0, count), in multiples of `granule`.
struct Part {
  Index first;
  Index count;
};

Part part(Index count, Index index, Index of, Index granule);

}  // namespace xbn::internal
