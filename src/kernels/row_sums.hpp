#pragma once

// Sums of rows of many lanes: which rows are a block, and in which order they are read.

#include "kernels/row_streams.hpp"

namespace xbn::kernels {
namespace {

// Touches rows some way ahead of those that are being added, which is not in the order of memory where several are
// added at a time: prefetchers do not follow that. Near, it goes line by line. In memory it goes down several streams
// side by side, pages of rows that adjoin or else the next rows that are added at once: prefetchers follow each of
// them, and together they fetch more than one stream does; into the second cache, for the first one would not hold all.
template <int kSources, class Stored, bool kInMemory>
class Lookahead {
 public:
  Lookahead(const Rows<kSources, Stored>& rows, Index lanes, Index rows_at_once) {
    bool adjoin = kInMemory;
    for (const Index stride : rows.stride) adjoin = adjoin && stride == lanes;
    constexpr Index kPages = (sizeof(Stored) < sizeof(float) ? 8 : 16) / kSources;
    const Index rows_near = 2 * kPageOf<Stored> / lanes;
    streams_ = adjoin ? kPages : kInMemory ? rows_at_once : 1;
    lanes_ = adjoin ? kPageOf<Stored> : lanes;
    const Index ahead = kInMemory || rows_near < rows_at_once ? rows_at_once : rows_near;
    for (int i = 0; i < kSources; ++i) {
      stride_[i] = adjoin ? kPageOf<Stored> : rows.stride[i];
      at_[i] = rows.data[i] + (adjoin ? kPages : ahead) * stride_[i];
    }
  }

  template <int kVectors>
  void step() {
    for (int vector = 0; vector < kVectors; ++vector) {
      // A vector is one line of memory or two, or half of one.
      if (kLine > kLanes && (vector_ ^= 1) != 0) continue;
      for (Index lane = 0; lane < kLanes; lane += kLine) touch();
    }
  }

 private:
  static constexpr Index kLine = 64 / sizeof(Stored);

  void touch() {
    for (int i = 0; i < kSources; ++i) {
      kInMemory ? prefetch_second(at_[i] + lane_) : prefetch(at_[i] + lane_);
      at_[i] += stride_[i];
    }
    if (kInMemory && ++stream_ < streams_) return;
    stream_ = 0;
    lane_ += kLine;
    if (lane_ >= lanes_) {
      lane_ = 0;
      return;
    }
    for (int i = 0; i < kSources; ++i) at_[i] -= streams_ * stride_[i];
  }

  const Stored* at_[kSources];
  Index stride_[kSources];
  Index streams_;
  Index stream_ = 0;
  Index lanes_;  // of a stream
  Index lane_ = 0;
  int vector_ = 0;
};

// Touches lanes some rows ahead of those that are being added, all the way down. Some processors' prefetchers follow
// such a walk by themselves.
template <int kSources, class Stored>
struct AheadOfLanes {
  static constexpr Index kRowsAhead = 4;
  static constexpr Index kStep = kLanes * sizeof(Stored) > 64 ? 64 / sizeof(Stored) : kLanes;

  Rows<kSources, Stored> rows;

  AheadOfLanes(const Rows<kSources, Stored>& from, Index lane) : rows(shifted(from, kRowsAhead, lane)) {}

  template <int kLines>
  void step() {
    for (int i = 0; i < kSources; ++i) {
      for (Index lane = 0; lane < kLines * kLanes; lane += kStep) prefetch(rows.data[i] + lane);
      rows.data[i] += rows.stride[i];
    }
  }
};

// How rows go into blocks: as they follow each other, or by turns, so that a block's rows lie far apart and each is the
// head of a stream through memory that the blocks after it follow. Rows of images of their own are followed by the rows
// that are summed after them.
enum class RowOrder { consecutive, by_turns, by_turns_of_images };

struct Blocks {
  Index count;
  Index least;   // rows of each
  Index longer;  // so many of the first have a row more
  RowOrder order;

  Index rows(Index block) const { return least + (block < longer ? 1 : 0); }
  Index first(Index block) const {
    return order == RowOrder::consecutive ? block * least + (block < longer ? block : longer) : block;
  }
  // From one of its rows to the next.
  Index distance() const { return order == RowOrder::consecutive ? 1 : count; }
};

// Sums in double go on from block to block: theirs are rows as they follow each other.
template <class Reduction>
inline RowOrder order_for(RowOrder wanted) {
  return Reduction::kParityMatters ? wanted : RowOrder::consecutive;
}

template <class Reduction>
inline Blocks blocks_of_rows(Index rows, RowOrder wanted, Index at_once = Reduction::kRowsAtOnce) {
  const RowOrder order = order_for<Reduction>(wanted);
  // By turns an odd number: rows that lie a power of two apart contend for one set of the caches.
  const Index fewest = (rows + at_once - 1) / at_once;
  const Index count = order == RowOrder::consecutive || fewest == 0 ? fewest : fewest | 1;
  return count == 0 ? Blocks{0, 0, 0, order} : Blocks{count, rows / count, rows % count, order};
}

// Before the rows of a tile: sums of 0, and to each lane what it is taken about, `lanes` / `channels` times the
// channels'; 0 where there is no center, and behind the lanes up to a multiple of 16.
template <class Real, int kSums>
inline void begin_rows(const Real* center, Index channels, Index lanes, Real* centers, const Sums<kSums>& sums) {
  const Index whole = (lanes + kLanes - 1) / kLanes * kLanes;
  for (Index i = 0; i < whole; ++i) centers[i] = 0;
  if (center != nullptr) {
    for (Index first = 0; first < lanes; first += channels) {
      for (Index c = 0; c < channels; ++c) centers[first + c] = center[c];
    }
  }
  for (double* sum : sums.sum) {
    for (Index i = 0; i < whole; ++i) sum[i] = 0;
  }
}

// Calls add(streams, lane, lanes) for the sums of all lanes in turn, from `lane` on.
template <class A, class Reduction, int kStreamCount, class Add>
[[gnu::always_inline]] inline void add_lanes(Index lanes, const typename Reduction::Real* center,
                                             const Sums<Reduction::kSums>& sums, const Add& add) {
  constexpr StreamStep step{kLanes, kLanes};
  Index lane = 0;
  for (; lane + kStreamCount * kLanes <= lanes; lane += kStreamCount * kLanes) {
    StreamSet<A, Reduction, kStreamCount, false> streams(sums.sum, lane, center + lane, kLanes, step);
    add(streams, lane, kLanes);
    streams.finish(sums.sum, lane, step);
  }
  for (; lane + kLanes <= lanes; lane += kLanes) {
    StreamSet<A, Reduction, 1, false> stream(sums.sum, lane, center + lane, kLanes, step);
    add(stream, lane, kLanes);
    stream.finish(sums.sum, lane, step);
  }
  if (lane < lanes) {
    StreamSet<A, Reduction, 1, true> stream(sums.sum, lane, center + lane, lanes - lane, step);
    add(stream, lane, lanes - lane);
    stream.finish(sums.sum, lane, step);
  }
}

// From memory. The nearer the order in which rows are read to that in which they lie, the better; the more rows at
// once, the less often their sums are loaded and stored, which costs most where registers are narrow.
template <class Reduction>
inline Index rows_at_once(Index lanes) {
  constexpr Index kElements = 2048;
  if (Reduction::kParityMatters) return Reduction::kRowsAtOnce;
  const Index rows = kElements / lanes;
  return rows > Reduction::kRowsAtOnce ? rows : Reduction::kRowsAtOnce;
}

// Adds `count` rows of `lanes` lanes; center and sums have a place for each, and sums up to a multiple of 16. Within
// the caches a lane's rows are taken all at once, if that changes no bit.
template <class A, class Reduction>
[[gnu::flatten, gnu::noinline]] inline void add_rows(const RowsOf<Reduction>& rows, Index count, Index lanes,
                                                     const typename Reduction::Real* center,
                                                     const Sums<Reduction::kSums>& sums, RowOrder wanted, Reach reach) {
  constexpr StreamStep step{kLanes, kLanes};
  const RowOrder order = order_for<Reduction>(wanted);
  NoLookahead nothing;
  if constexpr (!Reduction::kParityMatters) {
    if (reach != Reach::memory) {
      add_lanes<A, Reduction, 2>(
          lanes, center, sums, [&](auto& streams, Index lane, Index lanes_of_all) __attribute__((always_inline)) {
            AheadOfLanes<Reduction::kSources, typename Reduction::Stored> ahead(rows, lane);
            take_in<Reduction>(streams, shifted(rows, 0, lane), count, lanes_of_all, step, ahead);
          });
      return;
    }
  }
  const Index at_once = rows_at_once<Reduction>(lanes);
  const Blocks blocks = blocks_of_rows<Reduction>(count, order, at_once);
  const auto add = [&](const auto& ahead_of) __attribute__((always_inline)) {
    for (Index block = 0; block < blocks.count; ++block) {
      const RowsOf<Reduction> of_block = every(blocks.distance(), shifted(rows, blocks.first(block), 0));
      const Index rows_of_block = blocks.rows(block);
      add_lanes<A, Reduction, kStreams<A, Reduction>>(
          lanes, center, sums, [&](auto& streams, Index lane, Index lanes_of_all) __attribute__((always_inline)) {
            const RowsOf<Reduction> of_lanes = shifted(of_block, 0, lane);
            auto&& ahead = ahead_of(of_lanes);
            take_in<Reduction>(streams, of_lanes, rows_of_block, lanes_of_all, step, ahead);
          });
    }
  };
  using Stored = typename Reduction::Stored;
  if (order == RowOrder::consecutive && reach == Reach::memory) {
    Lookahead<Reduction::kSources, Stored, true> ahead(rows, lanes, at_once);
    add([&](const auto&) -> auto& { return ahead; });
  } else if (order == RowOrder::consecutive && reach != Reach::own_cache) {
    Lookahead<Reduction::kSources, Stored, false> ahead(rows, lanes, at_once);
    add([&](const auto&) -> auto& { return ahead; });
  } else if (order == RowOrder::by_turns_of_images && reach == Reach::memory) {
    using Ahead = PageAhead<NoLookahead, Reduction::kSources, Stored>;
    add([&](const RowsOf<Reduction>& of_lanes) { return Ahead{nothing, of_lanes}; });
  } else {
    add([&](const auto&) -> auto& { return nothing; });
  }
}

}  // namespace
}  // namespace xbn::kernels
