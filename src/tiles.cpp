#include "tiles.hpp"

#include <algorithm>

namespace xbn::internal {

// Divisions take as long as some small tiles do, and most tiles need none.
Part part(Index count, Index index, Index of, Index granule) {
  if (of == 1) return {0, count};
  const Index granules = divide_up(count, granule);
  const auto begin = [&](Index i) { return std::min(count, divide_up(granules * i, of) * granule); };
  const Index first = begin(index);
  return {first, begin(index + 1) - first};
}

PlanesTile planes_tile(const Problem& problem, const Tiling& tiling, const Piece& piece) {
  const bool whole_planes = tiling.segments == 1;
  const Index first_plane = (whole_planes ? piece.tile : piece.tile / tiling.segments) * tiling.planes_per_tile;
  if (piece.tiles > 1 && piece.tiles >= tiling.segments) {
    const Index most = piece.tiles / tiling.segments * tiling.planes_per_tile;
    return {first_plane, std::min(most, problem.batch - first_plane), 0, problem.spatial};
  }
  const Index planes = std::min(tiling.planes_per_tile, problem.batch - first_plane);
  const Index offset = whole_planes ? 0 : piece.tile % tiling.segments * tiling.segment_length;
  const Index length = std::min(piece.tiles * tiling.segment_length, problem.spatial - offset);
  if (piece.tiles > 1) return {first_plane, planes, offset, length};
  if (planes >= piece.of) {
    const Part some = part(planes, piece.index, piece.of, 1);
    return {first_plane + some.first, some.count, offset, length};
  }
  const Part some = part(length, piece.index, piece.of, kernels::kLanes);
  return {first_plane, planes, offset + some.first, some.count};
}

}  // namespace xbn::internal
