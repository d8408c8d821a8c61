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

// Below this another thread costs more to wake than it saves. Where each has slabs of its own it does more with a byte,
// and is woken once.
constexpr Index kBytesPerThread = 192 * 1024;
constexpr Index kBytesPerThreadOfSlabs = 80 * 1024;

// A run is what lies consecutively of a slab's channels in one image. Shorter ones than the first slow down a walk over
// many of them much; longer ones than the second no longer help.
constexpr Index kLeastRun = 4 * 1024;
constexpr Index kLongRun = 48 * 1024;

// Planes shorter than these are better applied after the sums of their slab than beside those of the next. In backward
// that makes five streams of each plane: only long planes gain by it, but where others use the last cache as well short
// ones do, if there are several threads and no more to do than to normalise.
constexpr Index kOverlapPlane = 12 * 1024;
constexpr Index kOverlapGradientPlane = 24 * 1024;
constexpr Index kOverlapPlainGradientPlane = 2 * 1024;

// Of overlapped slabs a thread has so many, if there are channels enough: the sums of its first go alone, and the apply
// pass of its last.
constexpr Index kOverlappedRounds = 4;

// An apply pass fetches the next slab where planes are this long: below, it costs more than it saves.
constexpr Index kLookAheadPlane = 1024;

// The part of a core's own cache that such a slab takes: less than would fit, and so soon used.
constexpr Index kLookedAhead = 8;

// However small channels are, so many bytes of them make a slab: what is done once a slab shows in small tensors.
constexpr Index kSmallSlab = 16 * 1024;

// Elements of small planes that are applied at a time: as many as kernels take as one run.
constexpr Index kAppliedTogether = 32 * 1024;

// Of a last cache that others use as well. However large it is, beyond this it is read as memory is: the order in which
// rows are taken from a near cache costs the more the more of them there are.
constexpr std::size_t kMostContended = std::size_t{24} << 20;

// Bytes of rows, and images of blocks, that are applied at a time, in several streams: the longer the better, while a
// thread still has some pieces.
constexpr Index kPieceOfRows = 1024 * 1024;
constexpr Index kPieceOfImages = 16;
// Of planes whose sums come first: they are in the cores' own caches, and pieces are to be few images of them.
constexpr Index kPieceOfSummedImages = 8;

Index round_up(Index a, Index b) { return divide_up(a, b) * b; }

Index channel_bytes(const Problem& problem, const Traffic& traffic) {
  return problem.batch * problem.spatial * traffic.element;
}

bool balanced(Index units, Index threads) {
  return units >= threads && divide_up(units, threads) * threads * 10 <= units * 11;
}

// The fewest slabs of at most `limit` channels of which every thread gets as many.
Index even_slabs(Index channels, Index limit, Index threads, Index granule) {
  const Index units = divide_up(channels, granule);
  const Index rounds = divide_up(units, std::max<Index>(limit / granule, 1) * threads);
  return std::min(rounds * threads, units);
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

Index fold_of(const Problem& problem) {
  const Index fold = problem.channels < kLanes ? kLanes / std::gcd(problem.channels, kLanes) : 1;
  return problem.batch * problem.spatial < fold ? 1 : fold;
}

// So many rows end where a line of memory does.
Index row_granule(const Problem& problem, Index fold) {
  return std::max(fold, kLanes / std::gcd(problem.channels, kLanes));
}

Index rows_of_tile(const Problem& problem, Index fold) {
  return round_up(std::max(kRowsTile, kRowsTileElements / problem.channels), kBlockRows * fold);
}

// Of so many rows, of at most `most` each. As long as each other, and an even number: a short last one would leave a
// thread waiting.
Index tiles_of_rows(Index rows, Index most) {
  const Index fewest = divide_up(rows, most);
  return fewest <= 1 ? 1 : round_up(fewest, 2);
}

void tile_rows(Tiling& tiling, const Problem& problem) {
  tiling.fold = fold_of(problem);
  tiling.row_granule = row_granule(problem, tiling.fold);
  const Index rows = problem.batch * problem.spatial;
  const Index tiles = tiles_of_rows(rows, rows_of_tile(problem, tiling.fold));
  tiling.rows_per_tile = round_up(std::max<Index>(divide_up(rows, tiles), 1), tiling.row_granule);
  tiling.tiles = divide_up(rows, tiling.rows_per_tile);
}

void gather_chunks(Tiling& tiling) {
  tiling.tiles_per_chunk = std::max<Index>(1, divide_up(tiling.tiles, kMaxChunks));
  tiling.chunks = divide_up(tiling.tiles, tiling.tiles_per_chunk);
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
  gather_chunks(tiling);
  return tiling;
}

Tiling make_fused_tiling(const Problem& problem) {
  Tiling tiling{};
  tiling.family = family_of(problem);
  tiling.fold = 1;
  if (tiling.family == Family::blocked) {
    tile_planes(tiling, problem, kRowsTileElements / channel_block(problem.layout), 2 * kBlockRows);
  } else if (tiling.family == Family::planar) {
    tile_planes(tiling, problem, kPlanarTile, kLanes * kBlockRows);
  } else {
    // Of nc, channels may lie apart, and are then rows by themselves.
    if (problem.layout != Layout::ncx) tiling.fold = fold_of(problem);
    tiling.row_granule = row_granule(problem, tiling.fold);
    const Index most = rows_of_tile(problem, tiling.fold);
    const Index segments = tiles_of_rows(problem.spatial, most);
    tile_planes(tiling, problem, segments > 1 ? divide_up(problem.spatial, segments) : most, tiling.row_granule);
  }
  if (problem.weights) {
    tiling.planes_per_tile = 1;
    tiling.tiles = problem.batch * tiling.segments;
  }
  tiling.rows_per_tile = tiling.planes_per_tile * tiling.segment_length;
  gather_chunks(tiling);
  return tiling;
}

namespace {

// Channels that begin and end on the borders of cache lines.
Index granule_of_lines(const Problem& problem) {
  if (problem.layout != Layout::ncx) return channel_block(problem.layout);
  return kLanes / std::gcd(problem.spatial, kLanes);
}

// How many channels make one run of at least `bytes`.
Index channels_in_run(const Problem& problem, Index plane, Index bytes) {
  return divide_up(bytes, plane) * channel_block(problem.layout);
}

// As on a virtual machine.
bool others_use_last_cache(const CacheSizes& caches) { return caches.likely_bytes > caches.shared_bytes; }

bool likely_in_contended_cache(Index bytes, const CacheSizes& caches) {
  return bytes > static_cast<Index>(caches.shared_bytes) && bytes <= static_cast<Index>(caches.likely_bytes);
}

// A slab's channels: how many follow in memory at least and at most, in what steps, and bytes that are read of each.
struct SlabChannels {
  Index least;
  Index most;
  Index granule;
  Index plane_bytes;
  Index read_bytes;
};

SlabChannels slab_channels(const Problem& problem, const Tiling& tiling, const Traffic& traffic) {
  const Index block = channel_block(problem.layout);
  const Index plane = std::max<Index>(1, problem.spatial * block * traffic.element);
  // Planes of part of a cache line: as many as end on the border of one.
  const bool small_planes = tiling.family == Family::planar && plane < kLeastRun;
  const Index granule = small_planes ? granule_of_lines(problem) : block;
  const auto in_granules = [&](Index channels) {
    return std::clamp(round_up(channels, granule), granule, kMaxGroup * block);
  };
  return {in_granules(channels_in_run(problem, plane, kLeastRun)),
          in_granules(channels_in_run(problem, plane, kLongRun)), granule, plane,
          std::max<Index>(1, channel_bytes(problem, traffic) * traffic.reads)};
}

// Three quarters of the cores' own caches.
Index own_bytes(const CacheSizes& caches, Index cores) {
  return static_cast<Index>(caches.private_bytes) * cores * 3 / 4;
}

bool long_enough_to_overlap(Index plane_bytes, const CacheSizes& caches, const Traffic& traffic, Index threads) {
  if (!traffic.backward) return plane_bytes >= kOverlapPlane;
  // With a last cache of its own one thread is faster slab after slab.
  if (!others_use_last_cache(caches)) return threads > 1 && plane_bytes >= kOverlapGradientPlane;
  return plane_bytes >= (traffic.fused || threads == 1 ? kOverlapPlane : kOverlapPlainGradientPlane);
}

bool overlaps(const Problem& problem, const CacheSizes& caches, const Traffic& traffic, const SlabChannels& slab,
              Index threads) {
  if (!traffic.can_overlap || !long_enough_to_overlap(slab.plane_bytes, caches, traffic, threads)) return false;
  if (traffic.reads == 1 && !worth_streaming(problem, caches, traffic, threads)) return false;
  const Index two = 2 * slab.least * slab.read_bytes;
  if (own_bytes(caches, threads) >= two) return true;
  // Where all that is read is likely in the last cache, there is nothing to wait for while another slab is written;
  // where that cache does not hold two slabs, what goes along with the sums of the next would come from memory as well.
  if (likely_in_contended_cache(slab.read_bytes * problem.channels, caches)) return false;
  return static_cast<Index>(std::max(caches.shared_bytes, caches.likely_bytes)) * 3 / 4 >= two;
}

bool looks_ahead(const Problem& problem, const Tiling& tiling, const CacheSizes& caches, const Traffic& traffic,
                 const SlabChannels& slab, Index threads) {
  if (tiling.family != Family::planar || slab.plane_bytes < kLookAheadPlane) return false;
  // A last cache that can be counted on has larger slabs, and reading from one gains nothing by it.
  if (static_cast<Index>(caches.shared_bytes) > 2 * threads * static_cast<Index>(caches.private_bytes)) return false;
  const auto in_last_cache = static_cast<Index>(std::max(caches.shared_bytes, caches.likely_bytes / 3));
  if (slab.read_bytes * problem.channels <= in_last_cache) return false;
  // In backward, slabs that threads share are better as large as the caches.
  return own_bytes(caches, traffic.backward ? 1 : threads) >= 2 * slab.least * slab.read_bytes;
}

void choose_slabs(Schedule& schedule, const Problem& problem, const Tiling& tiling, const CacheSizes& caches,
                  const Traffic& traffic) {
  const Index block = channel_block(problem.layout);
  const SlabChannels slab = slab_channels(problem, tiling, traffic);
  const Index threads = schedule.threads;
  schedule.overlapped = overlaps(problem, caches, traffic, slab, threads);
  schedule.looks_ahead = !schedule.overlapped && looks_ahead(problem, tiling, caches, traffic, slab, threads);

  const Index one_channel = slab.read_bytes * (schedule.overlapped || schedule.looks_ahead ? 2 : 1);
  Index in_private = own_bytes(caches, 1) / one_channel;
  if (schedule.looks_ahead && in_private > slab.least) {
    in_private = std::max(static_cast<Index>(caches.private_bytes) / kLookedAhead / slab.read_bytes, slab.least);
  }
  const Index in_shared = static_cast<Index>(caches.shared_bytes) / 2 / threads / one_channel;
  // A slab that one thread has to itself needs no waiting for others; one that all share is smaller for each.
  if (balanced(divide_up(problem.channels, slab.least), threads) && std::max(in_private, in_shared) >= slab.least) {
    const Index most = std::max(kMaxGroup * block, kSmallSlab / slab.read_bytes);
    Index fitting = std::max(std::min(in_private, most), std::min(in_shared, slab.most));
    if (schedule.overlapped) {
      fitting = std::max(std::min(fitting, problem.channels / (threads * kOverlappedRounds)), slab.least);
    }
    schedule.slabs = even_slabs(problem.channels, fitting, threads, slab.granule);
    schedule.private_slabs = true;
  } else {
    const Index fitting = std::min(in_private * threads, kMaxGroup * block);
    schedule.slabs = divide_up(problem.channels, std::max(fitting / slab.granule * slab.granule, slab.least));
  }
  if (schedule.slabs == 1) return;
  schedule.slab_granule = slab.granule;
  schedule.slab_channels = divide_up(divide_up(problem.channels, slab.granule), schedule.slabs) * slab.granule;
}

// So many that threads which are late or slow leave little to wait for.
Index units_for(Index sharers) { return sharers == 1 ? 1 : 4 * sharers; }

void choose_groups(Schedule& schedule, const Problem& problem, const Tiling& tiling, Index sharers) {
  if (tiling.family == Family::interleaved) {
    const Index splits =
        std::max(divide_up(problem.channels, kMaxLanes), divide_up(sharers, std::max<Index>(1, tiling.chunks)));
    const Index group = round_up(divide_up(problem.channels, splits), kLanes);
    schedule.group_channels = tiling.fold > 1 ? problem.channels : std::min(group, problem.channels);
    // Whole rows: memory is then read and written in order.
    schedule.apply_group_channels = problem.channels;
    return;
  }
  const Index block = channel_block(problem.layout);
  const auto units = [&](Index group, Index parts) { return divide_up(schedule.slab_channels, group) * parts; };
  const auto half = [&](Index group) { return round_up(divide_up(group, 2), block); };
  Index group = std::min(round_up(schedule.slab_channels, block), kMaxGroup * block);
  while (group > block && units(group, tiling.chunks) < sharers) group = half(group);
  // Threads get as many channels each, in whole lines of memory where that leaves groups about as large as each other.
  const Index groups = divide_up(schedule.slab_channels, group);
  const Index even = round_up(divide_up(schedule.slab_channels, groups), block);
  const Index of_lines = round_up(even, granule_of_lines(problem));
  group = of_lines <= group && of_lines * groups * 4 <= schedule.slab_channels * 5 ? of_lines : even;
  schedule.group_channels = group;
  // Rather few channels in a piece than parts of planes; a shorter last group would leave a thread with less to do.
  while (group > block && (units(group, tiling.tiles) < units_for(sharers) ||
                           (group < schedule.group_channels && schedule.slab_channels % group != 0))) {
    group = half(group);
  }
  schedule.apply_group_channels = group;
  // Where one thread has a slab to itself, each call of a kernel waits for what the one before has written.
  if (sharers == 1 && tiling.family == Family::planar) {
    const Index together = kAppliedTogether / std::max<Index>(problem.spatial, 1);
    schedule.apply_group_channels = std::max(group, std::min(schedule.slab_channels, together));
  }
}

// As many tiles as make long streams while each thread still has some pieces.
Index tiles_per_piece(const Problem& problem, const Tiling& tiling, const Traffic& traffic, Index groups,
                      Index sharers) {
  const Index most = tiling.tiles * groups / (4 * sharers);
  if (tiling.family == Family::interleaved) {
    const Index tile_bytes = tiling.rows_per_tile * problem.channels * traffic.element;
    return std::max<Index>(1, std::min(kPieceOfRows / tile_bytes, most));
  }
  const bool summed = tiling.family == Family::planar && traffic.two_passes;
  const Index images =
      std::min(summed ? kPieceOfSummedImages : kPieceOfImages, most * tiling.planes_per_tile / tiling.segments);
  return images < 4 ? 1 : divide_up(images * tiling.segments, tiling.planes_per_tile);
}

}  // namespace

Schedule make_schedule(const Problem& problem, const Tiling& tiling, const CacheSizes& caches, const Traffic& traffic,
                       int concurrency) {
  const Index bytes = channel_bytes(problem, traffic) * problem.channels * (traffic.reads + (traffic.writes ? 1 : 0));
  const bool slabs = traffic.two_passes && tiling.family != Family::interleaved;
  const Index bytes_per_thread = slabs ? kBytesPerThreadOfSlabs : kBytesPerThread;
  const Index threads = std::clamp<Index>(bytes / bytes_per_thread, 1, std::max(concurrency, 1));

  Schedule schedule{};
  schedule.threads = static_cast<int>(threads);
  schedule.slabs = 1;
  schedule.slab_granule = problem.channels;
  schedule.slab_channels = problem.channels;
  schedule.private_slabs = threads == 1;
  if (slabs) choose_slabs(schedule, problem, tiling, caches, traffic);

  const Index sharers = schedule.private_slabs ? 1 : threads;
  choose_groups(schedule, problem, tiling, sharers);
  const Index groups = divide_up(schedule.slab_channels, schedule.apply_group_channels);
  const Index units = std::max<Index>(1, groups * tiling.tiles);
  schedule.pieces_per_tile = std::clamp<Index>(divide_up(units_for(sharers), units), 1, 64);
  schedule.tiles_per_piece = tiles_per_piece(problem, tiling, traffic, groups, sharers);
  return schedule;
}

kernels::Reach reach_of(const Problem& problem, const CacheSizes& caches, Index element) {
  const auto bytes = static_cast<std::size_t>(problem.batch * problem.channels * problem.spatial * element);
  if (bytes <= caches.private_bytes) return kernels::Reach::own_cache;
  if (bytes <= caches.shared_bytes / 2) return kernels::Reach::shared_cache;
  return bytes <= std::min(caches.likely_bytes / 2, kMostContended) ? kernels::Reach::contended_cache
                                                                    : kernels::Reach::memory;
}

bool worth_streaming(const Problem& problem, const CacheSizes& caches, const Traffic& traffic, Index threads) {
  const Index bytes = channel_bytes(problem, traffic) * problem.channels * (traffic.reads + 1);
  const auto shared = static_cast<Index>(caches.shared_bytes);
  if (!others_use_last_cache(caches)) return bytes > shared * 3 / 4;
  // Where no more than the cores' own caches can be counted on, that is those of the cores that work. Backward reads
  // what it has read again.
  const Index own = std::min(shared, static_cast<Index>(caches.private_bytes) * threads);
  return bytes > (traffic.backward ? own * 7 / 8 : own);
}

}  // namespace xbn::internal
