#pragma once

// The loops of a call over the tiles of a slab: sums, chunk by chunk and merged in order; and the apply pass.

#include <algorithm>

#include "channel_offset.hpp"
#include "driver.hpp"
#include "loops.hpp"

namespace xbn::internal {

using kernels::GradientSumsOut;
using kernels::kMaxLanes;
using kernels::MomentsOut;
using kernels::Store;

// The loops of a call over the tiles of a slab, as a member of a team goes through them.
class Passes {
 public:
  Passes(const Problem& problem, const Tiling& tiling, const Machine& machine, const Walk& walk,
         const Schedule& schedule, Member& member, Store store)
      : problem_(problem),
        tiling_(tiling),
        machine_(machine),
        walk_(walk),
        schedule_(schedule),
        member_(member),
        store_(store) {}

  // Moments of each chunk into chunk * channels + channel. of_tile(group index, group, tile, out) takes those of one
  // tile.
  template <class OfTile>
  void moments(ChannelRange slab, const TensorIn& x, const MomentsOut& out, const OfTile& of_tile) const {
    for_each_chunk(slab, [&](Index index, ChannelRange group, Index chunk, Index first, Index last) {
      const MomentsOut total = at(out, chunk * problem_.channels + group.first);
      if (first + 1 < tiling_.tiles) walk_.prefetch_pivots(x, group, first + 1);
      of_tile(index, group, first, total);
      Index count = walk_.elements(first);
      alignas(64) double mean[kMaxLanes];
      alignas(64) double m2[kMaxLanes];
      for (Index tile = first + 1; tile < last; ++tile) {
        if (tile + 1 < tiling_.tiles) walk_.prefetch_pivots(x, group, tile + 1);
        of_tile(index, group, tile, MomentsOut{mean, m2});
        machine_.kernels.merge_moments(group.count, count, total, walk_.elements(tile), {mean, m2});
        count += walk_.elements(tile);
      }
    });
  }

  void moments(ChannelRange slab, const TensorIn& x, const MomentsOut& out) const {
    moments(slab, x, out, [&](Index, ChannelRange group, Index tile, const MomentsOut& of_tile) {
      walk_.moments(x, group, tile, of_tile);
    });
  }

  // Likewise; sums that are not wanted are null.
  template <class OfTile>
  void gradient_sums(ChannelRange slab, const GradientSumsOut& out, const OfTile& of_tile) const {
    for_each_chunk(slab, [&](Index index, ChannelRange group, Index chunk, Index first, Index last) {
      const GradientSumsOut total = at(out, chunk * problem_.channels + group.first);
      of_tile(index, group, first, total);
      alignas(64) double sum_dy[kMaxLanes];
      alignas(64) double sum_dy_x[kMaxLanes];
      alignas(64) double sum_x[kMaxLanes];
      for (Index tile = first + 1; tile < last; ++tile) {
        const GradientSumsOut of_one{sum_dy, sum_dy_x, sum_x};
        of_tile(index, group, tile, of_one);
        add(group, total, of_one);
      }
    });
  }

  void gradient_sums(ChannelRange slab, const TensorIn& x, const TensorIn& dy, const float* mean,
                     const GradientSumsOut& out) const {
    gradient_sums(slab, out, [&](Index, ChannelRange group, Index tile, const GradientSumsOut& of_tile) {
      walk_.gradient_sums(x, dy, group, tile, at(mean, group.first), of_tile);
    });
  }

  // Those of all chunks into those of chunk 0.
  void merge_moments(ChannelRange channels, const MomentsOut& out) const {
    Index count = chunk_elements(0);
    for (Index chunk = 1; chunk < tiling_.chunks; ++chunk) {
      machine_.kernels.merge_moments(channels.count, count, at(out, channels.first), chunk_elements(chunk),
                                     at(out, chunk * problem_.channels + channels.first));
      count += chunk_elements(chunk);
    }
  }

  void merge_gradient_sums(ChannelRange channels, const GradientSumsOut& out) const {
    for (Index chunk = 1; chunk < tiling_.chunks; ++chunk) {
      add(channels, at(out, channels.first), at(out, chunk * problem_.channels + channels.first));
    }
  }

  // Calls finish(channels) for ranges of all of a slab's channels: what follows when the sums of its chunks are there.
  template <class Finish>
  void for_each_range_of_channels(ChannelRange slab, const Finish& finish) const {
    for_each_range(member_, slab, tiling_.chunks, finish);
  }

  // Group `index` of a slab that has as many channels as another, or fewer.
  ChannelRange group(ChannelRange slab, Index index) const { return groups_of(slab).or_none(index); }

  // The groups of a slab behind those that another, narrower one has, tile by tile.
  template <class Apply>
  void for_each_further_piece(ChannelRange slab, ChannelRange narrower, const Apply& apply) const {
    const Groups groups = groups_of(slab);
    const Index done = groups_of(narrower).count();
    const Index parts = tiling_.tiles;
    in_parallel((groups.count() - done) * parts, [&](Index first, Index last) {
      for (Index unit = first; unit < last; ++unit) apply(groups[done + unit / parts], Piece{unit % parts, 0, 1});
    });
  }

  // In the order of memory.
  template <class Apply>
  void for_each_piece(ChannelRange slab, const Apply& apply) const {
    for_each_range_of_pieces(slab, [&](Index first, Index last, const auto& apply_unit) {
      for (Index unit = first; unit < last; ++unit) apply_unit(unit, apply);
    });
  }

  // Backwards, so that it begins on what the pass before has left in the cache.
  template <class Apply>
  void for_each_piece_backwards(ChannelRange slab, const Apply& apply) const {
    for_each_range_of_pieces(slab, [&](Index first, Index last, const auto& apply_unit) {
      for (Index unit = last; unit-- > first;) apply_unit(unit, apply);
    });
  }

 private:
  Groups groups_of(ChannelRange slab) const { return {slab, schedule_.group_channels}; }
  Groups apply_groups_of(ChannelRange slab) const { return {slab, schedule_.apply_group_channels}; }
  Units units_of(const Groups& groups, Index parts) const {
    return {groups.count(), parts, tiling_.family == Family::interleaved};
  }

  void add(ChannelRange channels, const GradientSumsOut& into, const GradientSumsOut& from) const {
    machine_.kernels.add(channels.count, into.dy, from.dy);
    if (into.x == nullptr) return;
    machine_.kernels.add(channels.count, into.dy_x, from.dy_x);
    machine_.kernels.add(channels.count, into.x, from.x);
  }

  // Each thread's streaming stores are done when its range is.
  template <class Body>
  void in_parallel(Index count, const Body& body) const {
    member_.loop(count, [&](Index first, Index last) {
      body(first, last);
      if (store_ == Store::streaming) machine_.kernels.stream_fence();
    });
  }

  template <class Body>
  void for_each_range_of_pieces(ChannelRange slab, const Body& body) const {
    const Groups groups = apply_groups_of(slab);
    const Cut cut = cut_of_tiles(groups);
    const Units units = units_of(groups, cut.pieces * schedule_.pieces_per_tile);
    in_parallel(units.count(), [&](Index first, Index last) {
      body(first, last,
           [&](Index unit, const auto& apply) { apply(groups[units.group(unit)], piece(cut, units.part(unit))); });
    });
  }

  // Where several tiles are applied together, samples are cut.
  Cut cut_of_tiles(const Groups& groups) const {
    const Index most = schedule_.tiles_per_piece;
    const Index sample = most > 1 && tiling_.segments > 1 ? tiling_.segments : 1;
    Cut cut = cut_of(tiling_.tiles / sample, most / sample, groups.count(), schedule_);
    cut.granule *= sample;
    return cut;
  }

  Piece piece(const Cut& cut, Index index) const {
    const Index of = schedule_.pieces_per_tile;
    const Part tiles = part(tiling_.tiles, index / of, cut.pieces, cut.granule);
    return {tiles.first, index % of, of, tiles.count};
  }

  template <class Body>
  void for_each_chunk(ChannelRange slab, const Body& body) const {
    const Groups groups = groups_of(slab);
    const Units units = units_of(groups, tiling_.chunks);
    in_parallel(units.count(), [&](Index first, Index last) {
      for (Index unit = first; unit < last; ++unit) {
        const Index chunk = units.part(unit);
        const Index first_tile = chunk * tiling_.tiles_per_chunk;
        const Index group = units.group(unit);
        body(group, groups[group], chunk, first_tile, std::min(tiling_.tiles, first_tile + tiling_.tiles_per_chunk));
      }
    });
  }

  Index chunk_elements(Index chunk) const {
    const Index first = chunk * tiling_.tiles_per_chunk;
    const Index last = std::min(tiling_.tiles, first + tiling_.tiles_per_chunk);
    Index count = 0;
    for (Index tile = first; tile < last; ++tile) count += walk_.elements(tile);
    return count;
  }

  const Problem& problem_;
  const Tiling& tiling_;
  const Machine& machine_;
  const Walk& walk_;
  const Schedule& schedule_;
  Member& member_;
  Store store_;
};

}  // namespace xbn::internal
