#pragma once

// How a problem is cut up. The tiling decides the order of additions, and therefore depends on layout and shape alone.
// The schedule decides only who does what when, and may depend on threads, caches and strides.

#include <cstddef>

#include "kernels/kernel_table.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::internal {

using kernels::Index;

inline Index divide_up(Index a, Index b) { return (a + b - 1) / b; }

enum class Family { planar, interleaved, blocked };

// The statistics tile and how tiles of a channel gather into chunks. Tiles are merged one after the other within a
// chunk, chunks one after the other.
struct Tiling {
  Family family;

  // Planar and blocked: a tile is planes_per_tile whole planes, or one of `segments` parts of one plane. A blocked
  // plane is that of a block of channels, and its length is in positions.
  Index planes_per_tile;
  Index segments;
  Index segment_length;

  // Interleaved: a tile is rows_per_tile rows, folded.
  Index rows_per_tile;
  Index fold;
  Index row_granule;  // rows are cut where so many end

  Index tiles;
  Index tiles_per_chunk;
  Index chunks;
};

inline constexpr Index kMaxChunks = 256;

Tiling make_tiling(const Problem& problem);

// That of problems that are not plain: planes of rows too, so that every tile belongs to whole samples, or to one.
Tiling make_fused_tiling(const Problem& problem);

// Which channels are worked on together, by how many threads.
struct Schedule {
  int threads;
  // Channels are in so many slabs, in whole granules as even as those allow: channels whose data stays in the cache
  // between a first pass over it and a second. One where nothing fits.
  Index slabs;
  Index slab_granule;
  // Channels of the largest.
  Index slab_channels;
  // Each slab belongs to one thread, which does all of it; else all threads share each slab.
  bool private_slabs;
  // The apply pass of a slab goes along with the sums of the next; two of them are in the cache at a time.
  bool overlapped;
  // The apply pass of a slab fetches the next into the cores' own caches, which hold two.
  bool looks_ahead;
  // Channels of a tile, in passes that take sums and in the apply pass alone.
  Index group_channels;
  Index apply_group_channels;
  // Pieces into which each tile is cut in the apply pass, so that all threads have some; or, where there are rows
  // enough, tiles that make one piece at most, so that streams through memory are long.
  Index pieces_per_tile;
  Index tiles_per_piece;
};

// What a call moves, from which its schedule follows.
struct Traffic {
  Index reads;      // tensors that are read
  bool two_passes;  // everything that is read is read twice
  bool writes;      // a tensor is written
  Index element = sizeof(float);
  bool can_overlap = true;  // the apply pass of a slab can go along with the sums of the next
  bool backward = false;
  bool fused = false;  // in backward: an activation, a residual, a mask or another type goes along
};

Schedule make_schedule(const Problem& problem, const Tiling& tiling, const CacheSizes& caches, const Traffic& traffic,
                       int concurrency);

// Where sums over tensors of the problem's size find them: `element` bytes of all that is read, an element of each.
kernels::Reach reach_of(const Problem& problem, const CacheSizes& caches, Index element);

// Whether a destination of this problem's size should be written past the caches that so many threads have, given that
// it is not a source.
bool worth_streaming(const Problem& problem, const CacheSizes& caches, const Traffic& traffic, Index threads);

}  // namespace xbn::internal
