#include "plan.hpp"

#include <algorithm>
#include <numeric>

namespace xbn::internal {

namespace {

using kernels::kBlockRows;
using kernels::kLanes;
using kernels::kMaxGroup;
using kernels::kMaxLanes;

// 32 KB: still in the first or second cache when a tile has to be done again, and long enough that the work done once a
// tile does not show.
constexpr Index kPlanarTile = 8192;

// Rows of a tile; rows of few channels make longer tiles.
constexpr Index kRowsTile = 256;
constexpr Index kRowsTileElements = 16384;

// Below this a second thread costs more to wake than it saves.
constexpr Index kBytesPerThread = 48 * 1024;

// Shorter runs of consecutive memory slow down a walk over many of them.
constexpr Index kRunBytes = 4096;

Index divide_up(Index a, Index b) { return (a + b - 1) / b; }
Index round_up(Index a, Index b) { return divide_up(a, b) * b; }

Index channel_bytes(const Problem& problem) {
  return problem.batch * problem.spatial * static_cast<Index>(sizeof(float));
}

bool balanced(Index units, Index threads) {
  return units >= threads && divide_up(units, threads) * threads * 10 <= units * 11;
}

// The largest slab of at most `limit` channels that gives every thread the same number of slabs.
Index even_slab(Index channels, Index limit, Index threads, Index granule) {
  const Index units = divide_up(channels, granule);
  const Index rounds = divide_up(units, std::max<Index>(limit / granule, 1) * threads);
  return divide_up(units, rounds * threads) * granule;
}

}  // namespace

namespace {

void tile_planes(Tiling& tiling, const Problem& problem, Index tile_length, Index granule) {
  const Index length = std::max<Index>(problem.spatial, 1);
  tiling.segments = divide_up(length, tile_length);
  tiling.segment_length = tiling.segments == 1 ? length : round_up(divide_up(length, tiling.segments), granule);
  tiling.segments = divide_up(length, tiling.segment_length);
  tiling.planes_per_tile = tiling.segments > 1 ? 1 : std::max<Index>(1, tile_length / length);
  tiling.tiles = divide_up(problem.batch, tiling.planes_per_tile) * tiling.segments;
}

void tile_rows(Tiling& tiling, const Problem& problem) {
  tiling.fold = problem.channels < kLanes ? kLanes / std::gcd(problem.channels, kLanes) : 1;
  tiling.rows_per_tile = round_up(std::max(kRowsTile, kRowsTileElements / problem.channels), kBlockRows * tiling.fold);
  tiling.tiles = divide_up(problem.batch * problem.spatial, tiling.rows_per_tile);
}

Family family_of(const Problem& problem) {
  if (channel_block(problem.layout) > 1) return Family::blocked;
  return problem.layout == Layout::ncx && problem.spatial != 1 ? Family::planar : Family::interleaved;
}

}  // namespace

Tiling make_tiling(const Problem& problem) {
  Tiling tiling{};
  tiling.family = family_of(problem);
  if (tiling.family == Family::planar) {
    tile_planes(tiling, problem, kPlanarTile, kLanes * kBlockRows);
  } else if (tiling.family == Family::blocked) {
    tile_planes(tiling, problem, kRowsTileElements / channel_block(problem.layout), 2 * kBlockRows);
  } else {
    tile_rows(tiling, problem);
  }
  tiling.tiles_per_chunk = std::max<Index>(1, divide_up(tiling.tiles, kMaxChunks));
  tiling.chunks = divide_up(tiling.tiles, tiling.tiles_per_chunk);
  return tiling;
}

Schedule make_schedule(const Problem& problem, const Tiling& tiling, const CacheSizes& caches, const Traffic& traffic,
                       int concurrency) {
  const Index one_channel = std::max<Index>(1, channel_bytes(problem) * traffic.reads);
  const Index bytes = channel_bytes(problem) * problem.channels * (traffic.reads + (traffic.writes ? 1 : 0));
  const Index threads = std::clamp<Index>(bytes / kBytesPerThread, 1, std::max(concurrency, 1));
  const auto private_bytes = static_cast<Index>(caches.private_bytes);
  const auto shared_bytes = static_cast<Index>(caches.shared_bytes);

  Schedule schedule{};
  schedule.threads = static_cast<int>(threads);
  schedule.slab_channels = problem.channels;
  schedule.private_slabs = threads == 1;

  // A run is what lies consecutively: a channel's plane, or a block's.
  const Index block = channel_block(problem.layout);
  const Index run = std::max<Index>(1, problem.spatial * block * static_cast<Index>(sizeof(float)));
  const Index group_limit = tiling.family == Family::planar ? kMaxGroup : kMaxGroup * block;
  // Planes of part of a cache line: as many as end on the border of one.
  const bool small_planes = tiling.family == Family::planar && run < kRunBytes;
  const Index granule = small_planes ? kLanes / std::gcd(problem.spatial, kLanes) : block;
  if (traffic.two_passes && tiling.family != Family::interleaved) {
    const Index wanted = std::clamp<Index>(round_up(divide_up(kRunBytes, run) * block, granule), granule, group_limit);
    // A slab that one thread has to itself needs no waiting for others; one that all share is smaller for each.
    const bool spread = balanced(divide_up(problem.channels, wanted), threads);
    const Index in_private = private_bytes * 3 / 4 / one_channel;
    const Index in_all_private = private_bytes * 3 / 4 * threads / one_channel;
    const Index in_shared = shared_bytes / 2 / threads / one_channel;
    if (spread && in_private >= wanted) {
      const Index limit = std::min(in_private, group_limit);
      schedule.slab_channels = even_slab(problem.channels, limit, threads, granule);
      schedule.private_slabs = true;
    } else if (spread && in_shared >= wanted) {
      schedule.slab_channels = even_slab(problem.channels, wanted, threads, granule);
      schedule.private_slabs = true;
    } else if (in_all_private >= wanted) {
      schedule.slab_channels = std::min(problem.channels, in_all_private / granule * granule);
    } else {
      schedule.slab_channels = std::min(problem.channels, wanted);
    }
  }

  const Index sharers = schedule.private_slabs ? 1 : threads;
  if (tiling.family == Family::interleaved) {
    const Index splits =
        std::max(divide_up(problem.channels, kMaxLanes), divide_up(sharers, std::max<Index>(1, tiling.chunks)));
    const Index group = round_up(divide_up(problem.channels, splits), kLanes);
    schedule.group_channels = tiling.fold > 1 ? problem.channels : std::min(group, problem.channels);
  } else {
    schedule.group_channels = std::min(round_up(schedule.slab_channels, block), group_limit);
    while (schedule.group_channels > block &&
           divide_up(schedule.slab_channels, schedule.group_channels) * tiling.chunks < sharers) {
      schedule.group_channels = round_up(divide_up(schedule.group_channels, 2), block);
    }
  }
  const Index units = std::max<Index>(1, divide_up(schedule.slab_channels, schedule.group_channels) * tiling.tiles);
  schedule.pieces_per_tile = sharers == 1 ? 1 : std::clamp<Index>(divide_up(4 * sharers, units), 1, 64);
  return schedule;
}

bool worth_streaming(const Problem& problem, const CacheSizes& caches, const Traffic& traffic) {
  const Index bytes = channel_bytes(problem) * problem.channels * (traffic.reads + 1);
  return bytes > static_cast<Index>(caches.shared_bytes) / 2;
}

}  // namespace xbn::internal
