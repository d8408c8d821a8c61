#pragma once

/// A dense tensor in any layout, seen as rows of lanes. Lane l of block b is channel b * row + l; each image of a block
/// is `spatial` rows, one after the other. ncx has rows of one channel.

#include <algorithm>
#include <cstdint>
#include <tbb/parallel_for.h>
#include <vector>

#include <xbn/tensor.hpp>

#include "../cases.hpp"

namespace bench {

struct Geometry {
  xbn::Layout layout = xbn::Layout::ncx;
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t spatial = 0;
  std::int64_t row = 1;
  std::int64_t blocks = 0;

  bool operator==(const Geometry&) const = default;

  /// Padding of the last block included.
  std::int64_t elements() const { return batch * blocks * spatial * row; }
  std::int64_t elements_per_channel() const { return batch * spatial; }
  /// Channels with those that pad the last block.
  std::int64_t padded_channels() const { return blocks * row; }
};

Geometry geometry_of(const Case& test_case);

/// Part of a block: rows [first, last) of it, counted through all images.
struct Chunk {
  std::int64_t block;
  std::int64_t first;
  std::int64_t last;
};

/// Chunks that cover the tensor, in order, of a size that suits a task.
std::vector<Chunk> chunks_of(const Geometry& geometry);

/// Calls body(offset, first_row, rows) for each contiguous piece of a chunk; first_row counts through all images.
template <class Body>
void for_each_piece(const Geometry& geometry, const Chunk& chunk, const Body& body) {
  for (std::int64_t first = chunk.first; first < chunk.last;) {
    const std::int64_t image = first / geometry.spatial;
    const std::int64_t last = std::min(chunk.last, (image + 1) * geometry.spatial);
    const std::int64_t row_in_block = first - image * geometry.spatial;
    body(((image * geometry.blocks + chunk.block) * geometry.spatial + row_in_block) * geometry.row, first,
         last - first);
    first = last;
  }
}

/// Calls body(chunk, index of the chunk) for all chunks, in parallel.
template <class Body>
void for_each_chunk(const std::vector<Chunk>& chunks, const Body& body) {
  tbb::parallel_for(std::size_t{0}, chunks.size(), [&](std::size_t i) { body(chunks[i], i); });
}

}  // namespace bench
