#pragma once

// The loops of a fused call over the tiles of a slab, as a member of a team goes through them: sums, chunk by chunk and
// merged in order; and the apply pass. Samples may have lengths and weights, so tiles and chunks may have no elements
// at all.

#include "fused_driver.hpp"
#include "loops.hpp"

namespace xbn::internal {

using kernels::kMaxLanes;
using kernels::Store;
using kernels::Wide;

template <class Real>
struct FusedSettings {
  const Problem& problem;
  const FusedMachine& machine;
  const Tiling& tiling;
  const FusedWalk& walk;
  const kernels::FusedTable<Real>& kernels;
  const Index* lengths;
  const Real* weights;

  // What each of a tile's elements weighs.
  double weight(Index tile) const { return weights != nullptr ? static_cast<double>(weights[walk.sample(tile)]) : 1; }
  double weight_of_chunk(Index chunk) const {
    double sum = 0;
    for (Index tile = first_tile(chunk); tile < first_tile(chunk + 1); ++tile) {
      sum += weight(tile) * static_cast<double>(walk.elements(tile, lengths));
    }
    return sum;
  }
  double total_weight() const {
    if (lengths == nullptr && weights == nullptr) return static_cast<double>(problem.batch * problem.spatial);
    double sum = 0;
    for (Index chunk = 0; chunk < tiling.chunks; ++chunk) sum += weight_of_chunk(chunk);
    return sum;
  }
  Index first_tile(Index chunk) const { return std::min(tiling.tiles, chunk * tiling.tiles_per_chunk); }
};

template <class Real>
class FusedPasses {
 public:
  using W = Wide<Real>;
  using Moments = kernels::WideMoments<Real>;
  using Sums = kernels::WideGradientSums<Real>;

  FusedPasses(const FusedSettings<Real>& settings, const Schedule& schedule, Member& member, Store store)
      : of_(settings), schedule_(schedule), member_(member), store_(store) {}

  // Moments of each chunk into chunk * channels + channel. of_piece(group index, group, piece, out) takes those of one
  // tile.
  template <class OfPiece>
  void moments(ChannelRange slab, const TypedIn& x, const Moments& out, const OfPiece& of_piece) const {
    const Index all = of_.problem.channels;
    for_each_chunk(slab, [&](Index index, ChannelRange group, Index chunk) {
      const Moments total{out.mean + chunk * all + group.first, out.m2 + chunk * all + group.first};
      W mean[kMaxLanes];
      W m2[kMaxLanes];
      double count = 0;
      for (Index tile = of_.first_tile(chunk); tile < of_.first_tile(chunk + 1); ++tile) {
        const double weight = of_.weight(tile);
        const double of_tile = weight * static_cast<double>(of_.walk.elements(tile, of_.lengths));
        if (of_tile == 0) continue;
        const Piece piece{tile, 0, 1};
        if (tile + 1 < of_.tiling.tiles) prefetch_pivots(group, Piece{tile + 1, 0, 1}, x);
        const Moments moments = count == 0 ? total : Moments{mean, m2};
        of_piece(index, group, piece, moments);
        if (count == 0) {
          of_.kernels.scale(group.count, total.m2, weight);
        } else {
          of_.kernels.merge_moments(group.count, count, total, of_tile, weight, moments);
        }
        count += of_tile;
      }
    });
  }

  // Likewise. The sums of x alone are weighted.
  template <class OfPiece>
  void gradient_sums(ChannelRange slab, const Sums& out, const OfPiece& of_piece) const {
    const Index all = of_.problem.channels;
    for_each_chunk(slab, [&](Index index, ChannelRange group, Index chunk) {
      const Sums total = from(out, chunk * all + group.first);
      for (W* sums : {total.dz, total.dz_x, total.x}) std::fill_n(sums, group.count, W{});
      W dz[kMaxLanes];
      W dz_x[kMaxLanes];
      W x[kMaxLanes];
      for (Index tile = of_.first_tile(chunk); tile < of_.first_tile(chunk + 1); ++tile) {
        if (of_.walk.elements(tile, of_.lengths) == 0) continue;
        of_piece(index, group, Piece{tile, 0, 1}, Sums{dz, dz_x, x});
        if (of_.weights != nullptr) of_.kernels.scale(group.count, x, of_.weight(tile));
        add(group.count, total, {dz, dz_x, x});
      }
    });
  }

  // Those of all chunks into those of chunk 0.
  void merge_moments(ChannelRange channels, const Moments& out) const {
    if (of_.tiling.chunks == 1) return;
    const Index all = of_.problem.channels;
    const Moments total{out.mean + channels.first, out.m2 + channels.first};
    double count = 0;
    for (Index chunk = 0; chunk < of_.tiling.chunks; ++chunk) {
      const double of_chunk = of_.weight_of_chunk(chunk);
      if (of_chunk == 0) continue;
      const Moments moments{total.mean + chunk * all, total.m2 + chunk * all};
      if (count > 0) {
        of_.kernels.merge_moments(channels.count, count, total, of_chunk, 1, moments);
      } else if (chunk > 0) {
        std::copy_n(moments.mean, channels.count, total.mean);
        std::copy_n(moments.m2, channels.count, total.m2);
      }
      count += of_chunk;
    }
  }

  void merge_gradient_sums(ChannelRange channels, const Sums& out) const {
    const Sums total = from(out, channels.first);
    for (Index chunk = 1; chunk < of_.tiling.chunks; ++chunk) {
      add(channels.count, total, from(total, chunk * of_.problem.channels));
    }
  }

  // Calls finish(channels) for ranges of all of a slab's channels: what follows when the sums of its chunks are there.
  template <class Finish>
  void for_each_range_of_channels(ChannelRange slab, const Finish& finish) const {
    for_each_range(member_, slab, of_.tiling.chunks, finish);
  }

  // Calls work() on one thread.
  template <class Work>
  void once(const Work& work) const {
    member_.once(work);
  }

  // Group `index` of a slab that has as many channels as another, or fewer.
  ChannelRange group(ChannelRange slab, Index index) const {
    return Groups(slab, schedule_.group_channels).or_none(index);
  }

  // The groups of a slab behind those that another, narrower one has, tile by tile.
  template <class Apply>
  void for_each_further_piece(ChannelRange slab, ChannelRange narrower, const Apply& apply) const {
    const Groups groups(slab, schedule_.group_channels);
    const Index done = Groups(narrower, schedule_.group_channels).count();
    const Index tiles = of_.tiling.tiles;
    in_parallel((groups.count() - done) * tiles, [&](Index first, Index last) {
      for (Index unit = first; unit < last; ++unit) apply(groups[done + unit / tiles], Piece{unit % tiles, 0, 1});
    });
  }

  // Calls apply(group, piece) for all of a slab. Backwards, it begins on what the pass before has left in the cache.
  template <class Apply>
  void for_each_piece(ChannelRange slab, bool backwards, const Apply& apply) const {
    const Groups groups(slab, schedule_.apply_group_channels);
    const Pieces pieces = pieces_of(groups);
    const Units units{groups.count(), pieces.count(), of_.tiling.family == Family::interleaved};
    in_parallel(units.count(), [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const Index unit = backwards ? first + last - 1 - i : i;
        apply(groups[units.group(unit)], pieces[units.part(unit)]);
      }
    });
  }

  // Calls count(group, piece) for every tile of every group; a group's tiles on one thread, which calls begin(group)
  // first.
  template <class Begin, class Count>
  void for_each_group(ChannelRange slab, const Begin& begin, const Count& count) const {
    const Groups groups(slab, schedule_.group_channels);
    member_.loop(groups.count(), [&](Index first, Index last) {
      for (Index group = first; group < last; ++group) {
        begin(groups[group]);
        for (Index tile = 0; tile < of_.tiling.tiles; ++tile) count(groups[group], Piece{tile, 0, 1});
      }
    });
  }

 private:
  // The pieces of `rounds` times `tiles_a_round` tiles: parts of a tile, or some together, in whole granules.
  struct Pieces {
    Index rounds;
    Index tiles_a_round;
    Cut cut;  // of a round
    Index parts_a_tile;

    Index count() const { return rounds * cut.pieces * parts_a_tile; }
    Piece operator[](Index index) const {
      const Index together = index / parts_a_tile;
      const Part tiles = part(tiles_a_round, together % cut.pieces, cut.pieces, cut.granule);
      return {together / cut.pieces * tiles_a_round + tiles.first, index % parts_a_tile, parts_a_tile, tiles.count};
    }
  };

  // Tiles that are applied together are of whole samples or of one. A sample that has a weight goes alone.
  Pieces pieces_of(const Groups& groups) const {
    const Tiling& tiling = of_.tiling;
    const Index tiles = of_.weights != nullptr ? 1 : schedule_.tiles_per_piece;
    const Index parts = tiles == 1 ? schedule_.pieces_per_tile : 1;
    if (tiles < tiling.segments) {
      const Index rounds = tiling.tiles / tiling.segments;
      return {rounds, tiling.segments, cut_of(tiling.segments, tiles, groups.count() * rounds, schedule_), parts};
    }
    Cut cut = cut_of(tiling.tiles / tiling.segments, tiles / tiling.segments, groups.count(), schedule_);
    cut.granule *= tiling.segments;
    return {1, tiling.tiles, cut, parts};
  }

  static Sums from(const Sums& sums, Index offset) { return {sums.dz + offset, sums.dz_x + offset, sums.x + offset}; }

  void add(Index channels, const Sums& into, const Sums& from) const {
    of_.kernels.add(channels, into.dz, from.dz);
    of_.kernels.add(channels, into.dz_x, from.dz_x);
    of_.kernels.add(channels, into.x, from.x);
  }

  // Each thread's streaming stores are done when its range is.
  template <class Body>
  void in_parallel(Index count, const Body& body) const {
    member_.loop(count, [&](Index first, Index last) {
      body(first, last);
      if (store_ == Store::streaming) of_.kernels.stream_fence();
    });
  }

  void prefetch_pivots(ChannelRange group, const Piece& piece, const TypedIn& x) const {
    of_.kernels.prefetch_pivots(of_.walk.extent(group, piece, of_.lengths, size_in(x)),
                                of_.walk.source(x, group, piece));
  }

  template <class Body>
  void for_each_chunk(ChannelRange slab, const Body& body) const {
    const Groups groups(slab, schedule_.group_channels);
    const Units units{groups.count(), of_.tiling.chunks, of_.tiling.family == Family::interleaved};
    in_parallel(units.count(), [&](Index first, Index last) {
      for (Index unit = first; unit < last; ++unit) {
        body(units.group(unit), groups[units.group(unit)], units.part(unit));
      }
    });
  }

  const FusedSettings<Real>& of_;
  const Schedule& schedule_;
  Member& member_;
  Store store_;
};

}  // namespace xbn::internal
