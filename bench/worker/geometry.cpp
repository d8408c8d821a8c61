#include "geometry.hpp"

namespace bench {
namespace {

xbn::Layout layout_of(const Case& test_case) {
  if (test_case.shape.rank == 2) return xbn::Layout::nc;
  switch (test_case.tag) {
    case Tag::abx:
      return xbn::Layout::ncx;
    case Tag::axb:
      return xbn::Layout::nxc;
    case Tag::aBx8b:
      return xbn::Layout::nCx8c;
    case Tag::aBx16b:
      break;
  }
  return xbn::Layout::nCx16c;
}

}  // namespace

Geometry geometry_of(const Case& test_case) {
  const Shape& shape = test_case.shape;
  Geometry geometry{layout_of(test_case), shape.batch, shape.channels, shape.spatial()};
  const bool channels_last = geometry.layout == xbn::Layout::nc || geometry.layout == xbn::Layout::nxc;
  geometry.row = channels_last ? shape.channels : xbn::channel_block(geometry.layout);
  geometry.blocks = (shape.channels + geometry.row - 1) / geometry.row;
  return geometry;
}

std::vector<Chunk> chunks_of(const Geometry& geometry) {
  constexpr std::int64_t elements_per_task = 1 << 17;
  const std::int64_t rows = geometry.elements_per_channel();
  const std::int64_t rows_per_chunk = std::max<std::int64_t>(1, elements_per_task / geometry.row);
  std::vector<Chunk> chunks;
  for (std::int64_t block = 0; block < geometry.blocks; ++block) {
    for (std::int64_t first = 0; first < rows; first += rows_per_chunk) {
      chunks.push_back({block, first, std::min(rows, first + rows_per_chunk)});
    }
  }
  return chunks;
}

}  // namespace bench
