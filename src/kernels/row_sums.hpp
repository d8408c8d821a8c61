#pragma once

// Sums of rows in 16 lanes, block by block: which rows are a block, and how they are read. What a row is, the families
// say: 16 channels of a position, or 16 positions of a channel.

#include "kernels/reductions.hpp"

namespace xbn::kernels {
namespace {

template <int kSources, class Stored = float>
struct Rows {
  const Stored* data[kSources];
  Index stride[kSources];
};

template <int kSources, class Stored>
inline Rows<kSources, Stored> shifted(const Rows<kSources, Stored>& rows, Index row, Index lane) {
  Rows<kSources, Stored> result = rows;
  for (int i = 0; i < kSources; ++i) result.data[i] += row * rows.stride[i] + lane;
  return result;
}

template <int kSources, class Stored>
inline Rows<kSources, Stored> every(Index nth, Rows<kSources, Stored> rows) {
  for (Index& stride : rows.stride) stride *= nth;
  return rows;
}

// Numbers of a row in double, as they were widened or to be widened from memory, all or either half of them.
template <class Wide>
struct WidenedLanes {
  Wide lanes;

  Wide all() const { return lanes; }
  auto low() const { return WidenedLanes<typename Wide::Half>{lanes.low}; }
  auto high() const { return WidenedLanes<typename Wide::Half>{lanes.high}; }
};

template <class Wide>
struct WidenedMemory {
  const float* from;

  Wide all() const { return load_widened<Wide>(from); }
  auto low() const { return WidenedMemory<typename Wide::Half>{from}; }
  auto high() const { return WidenedMemory<typename Wide::Half>{from + Wide::kHalf}; }
};

// 16 lanes of a row, from `lane` on, or, if kPartial, the first `count` of them and zeros.
template <class A, class Stored, int kSources, bool kPartial>
struct RowReader {
  using Vector = RealLanes<A, Stored>;

  const Rows<kSources, Stored>& rows;
  Index row;
  Index lane;
  Index count;

  const Stored* at(int source) const { return rows.data[source] + row * rows.stride[source] + lane; }
  Vector lanes(int source) const {
    return kPartial ? load_first_lanes<A>(at(source), count) : load_lanes<A>(at(source));
  }
  template <class Wide>
  auto widened(int source) const {
    if constexpr (kPartial || !std::is_same_v<Stored, float>) {
      return WidenedLanes<Wide>{widen_to<Wide>(lanes(source))};
    } else {
      return WidenedMemory<Wide>{at(source)};
    }
  }
};

// The rows that a reduction takes, and how one is read.
template <class Reduction>
struct RowsFor {
  using Type = Rows<Reduction::kSources, typename Reduction::Stored>;
  template <class A, bool kPartial>
  using Reader = RowReader<A, typename Reduction::Stored, Reduction::kSources, kPartial>;
};

template <class Reduction>
using RowsOf = typename RowsFor<Reduction>::Type;

template <int kSums>
struct Sums {
  double* sum[kSums];
};

// Streams are independent blocks that run side by side, which changes no sum: it only fills the pipelines. As many as
// the registers hold.
template <class A, class Reduction>
inline constexpr int kStreams = std::is_same_v<A, Avx512> ? Reduction::kStreamsOfAvx512 : 1;

// Distances from a stream to the next.
struct StreamStep {
  Index lanes;
  Index center;
};

// Touches rows some way ahead of those that are being added, line by line in the order of memory: the sums go down
// several rows at a time, and prefetchers do not follow that.
template <int kSources, class Stored>
class Lookahead {
 public:
  Lookahead(const Rows<kSources, Stored>& rows, Index lanes, Index least_rows) : rows_(rows), lanes_(lanes) {
    constexpr Index kElements = 8192 / sizeof(Stored);
    const Index ahead = kElements / lanes;
    rows_ = shifted(rows_, ahead > least_rows ? ahead : least_rows, 0);
  }

  template <int kLines>
  void step() {
    for (int line = 0; line < kLines; ++line) {
      for (int i = 0; i < kSources; ++i) prefetch(rows_.data[i] + lane_);
      lane_ += kLanes;
      if (lane_ < lanes_) continue;
      lane_ = 0;
      for (int i = 0; i < kSources; ++i) rows_.data[i] += rows_.stride[i];
    }
  }

 private:
  Rows<kSources, Stored> rows_;
  Index lanes_;
  Index lane_ = 0;
};

struct NoLookahead {
  template <int kLines>
  void step() {}
};

// What rows are taken about, as a block wants it: once and for all its rows, which no compiler sees to.
template <class Center, class A, class Real>
inline Center center_of(const Pack<A, Real, kLanes>& center) {
  if constexpr (std::is_same_v<Center, Pack<A, Real, kLanes>>) {
    return center;
  } else {
    return widen_to<Center>(center);
  }
}

template <class A, class Center, class Real>
inline Center load_center(const Real* from) {
  return center_of<Center>(Pack<A, Real, kLanes>::load(from));
}

template <class A, class Center, class Real>
inline Center load_first_center(const Real* from, Index count) {
  return center_of<Center>(Pack<A, Real, kLanes>::load_first(from, count));
}

// kCount streams: one, or two halves (see Pack).
template <class A, class Reduction, int kCount, bool kPartial>
struct StreamSet {
  static constexpr int kStreamCount = kCount;
  static constexpr int kHalf = kCount / 2;
  using Half = StreamSet<A, Reduction, kHalf, kPartial>;
  using Real = typename Reduction::Real;
  using RowsOfAll = RowsOf<Reduction>;

  Half low;
  Half high;

  StreamSet(double* const* sums, Index offset, const Real* center, Index lanes, const StreamStep& step)
      : low(sums, offset, center, lanes, step),
        high(sums, offset + kHalf * step.center, center + kHalf * step.center, lanes, step) {}

  template <class Parity>
  void add(const RowsOfAll& rows, Index row, Index lane, Index lanes, const StreamStep& step, Parity parity) {
    low.add(rows, row, lane, lanes, step, parity);
    high.add(rows, row, lane + kHalf * step.lanes, lanes, step, parity);
  }

  void finish(double* const* sums, Index offset, const StreamStep& step) const {
    low.finish(sums, offset, step);
    high.finish(sums, offset + kHalf * step.center, step);
  }
};

template <class A, class Reduction, bool kPartial>
struct StreamSet<A, Reduction, 1, kPartial> {
  static constexpr int kStreamCount = 1;
  using Real = typename Reduction::Real;
  using RowsOfAll = RowsOf<Reduction>;
  template <bool kSome>
  using Reader = typename RowsFor<Reduction>::template Reader<A, kSome>;

  using Block = typename Reduction::template Block<A>;
  using Center = typename Block::Center;

  Block block;
  Center about;

  StreamSet(double* const* sums, Index offset, const Real* center, Index lanes, const StreamStep&)
      : block(sums, offset),
        about(kPartial ? load_first_center<A, Center>(center, lanes) : load_center<A, Center>(center)) {}

  template <class Parity>
  void add(const RowsOfAll& rows, Index row, Index lane, Index lanes, const StreamStep&, Parity parity) {
    block.add(Reader<kPartial>{rows, row, lane, lanes}, about, parity);
  }

  void add_tail(const RowsOfAll& rows, Index row, Index lanes, const Real* center) {
    block.add(Reader<true>{rows, row, 0, lanes}, load_first_center<A, Center>(center, lanes), Odd{});
  }

  void finish(double* const* sums, Index offset, const StreamStep&) const { block.finish(sums, offset); }
};

template <class Reduction, class Streams, class Beside, int kStreamCount = Streams::kStreamCount>
[[gnu::always_inline]] inline void take_in_some(Streams& streams, const RowsOf<Reduction>& rows, Index count,
                                                Index lanes, const StreamStep& step, Beside& beside) {
  Index row = 0;
  for (; row + 2 <= count; row += 2) {
    beside.template step<kStreamCount>();
    streams.add(rows, row, 0, lanes, step, Even{});
    beside.template step<kStreamCount>();
    streams.add(rows, row + 1, 0, lanes, step, Odd{});
  }
  if (row < count) {
    beside.template step<kStreamCount>();
    streams.add(rows, row, 0, lanes, step, Even{});
  }
}

template <int kCount, class Reduction, class Streams, class Beside, int kStreamCount = Streams::kStreamCount>
[[gnu::always_inline]] inline void take_in_all(Streams& streams, const RowsOf<Reduction>& rows, Index lanes,
                                               const StreamStep& step, Beside& beside) {
  static_assert(kCount % 2 == 0);
#pragma GCC unroll 8
  for (Index row = 0; row < kCount; row += 2) {
    beside.template step<kStreamCount>();
    streams.add(rows, row, 0, lanes, step, Even{});
    beside.template step<kStreamCount>();
    streams.add(rows, row + 1, 0, lanes, step, Odd{});
  }
}

// Without a loop where rows are as many as they mostly are: with one, a core runs ahead of itself half as far.
template <class Reduction, class Streams, class Beside>
[[gnu::always_inline]] inline void take_in(Streams& streams, const RowsOf<Reduction>& rows, Index count, Index lanes,
                                           const StreamStep& step, Beside& beside) {
  if (std::is_same_v<Beside, NoLookahead> && Reduction::kParityMatters && count == Reduction::kRowsAtOnce) {
    take_in_all<Reduction::kRowsAtOnce, Reduction>(streams, rows, lanes, step, beside);
  } else {
    take_in_some<Reduction>(streams, rows, count, lanes, step, beside);
  }
}

// One block. `tail` lanes of one row more may follow its rows.
template <class A, class Reduction, class Beside>
[[gnu::always_inline]] inline void add_block(const RowsOf<Reduction>& rows, Index count, Index tail,
                                             const typename Reduction::Real* center, const Sums<Reduction::kSums>& sums,
                                             Beside& beside) {
  constexpr StreamStep step{0, 0};
  StreamSet<A, Reduction, 1, false> stream(sums.sum, 0, center, kLanes, step);
  take_in<Reduction>(stream, rows, count, kLanes, step, beside);
  if (tail > 0) stream.add_tail(rows, count, tail, center);
  stream.finish(sums.sum, 0, step);
}

// The companion of sums that go alone.
struct Alone {
  static constexpr bool kWorks = false;
  void work(Index) {}
};

// Touches what lies a page ahead of consecutive rows, and lets the companion work.
template <class Beside, int kSources, class Stored>
struct PageAhead {
  static constexpr Index kAhead = 4096 / sizeof(Stored);

  Beside& beside;
  Rows<kSources, Stored> rows;

  template <int kLines>
  void step() {
    beside.template step<kLines>();
    for (int i = 0; i < kSources; ++i) {
      prefetch(rows.data[i] + kAhead);
      rows.data[i] += rows.stride[i];
    }
  }
};

template <class A, class Reduction, bool kLooksAhead, class Beside>
[[gnu::always_inline]] inline void add_block_of_column(const RowsOf<Reduction>& rows, Index count, Index tail,
                                                       const typename Reduction::Real* center,
                                                       const Sums<Reduction::kSums>& sums, Beside& beside) {
  if constexpr (kLooksAhead) {
    PageAhead<Beside, Reduction::kSources, typename Reduction::Stored> both{beside, rows};
    add_block<A, Reduction>(rows, count, tail, center, sums, both);
  } else {
    add_block<A, Reduction>(rows, count, tail, center, sums, beside);
  }
}

template <class A, class Reduction, bool kLooksAhead, class Companion>
[[gnu::flatten, gnu::noinline]] inline void add_blocks(const RowsOf<Reduction>& rows, Index count, Index tail,
                                                       const typename Reduction::Real* center,
                                                       const Sums<Reduction::kSums>& sums, Companion& companion) {
  NoLookahead alone;
  Index row = 0;
  for (; row + kBlockRows <= count; row += kBlockRows) {
    if constexpr (Companion::kWorks) {
      if (companion.has(kBlockRows)) {
        auto burst = companion.burst();
        add_block_of_column<A, Reduction, kLooksAhead>(shifted(rows, row, 0), kBlockRows, 0, center, sums, burst);
        companion.skip(kBlockRows);
        continue;
      }
      companion.work(kBlockRows);
    }
    add_block_of_column<A, Reduction, kLooksAhead>(shifted(rows, row, 0), kBlockRows, 0, center, sums, alone);
  }
  if (row < count || tail > 0) {
    companion.work(count - row);
    add_block_of_column<A, Reduction, kLooksAhead>(shifted(rows, row, 0), count - row, tail, center, sums, alone);
  }
}

// Adds `count` rows of 16 lanes, and `tail` lanes of one more, block after block to the same sums. One block at a time:
// several would fill the pipelines no better, and prefetchers do not follow streams a kilobyte apart. The companion
// (see companions.hpp) takes in as many vectors as the sums do.
template <class A, class Reduction, class Companion>
inline void add_column(const RowsOf<Reduction>& rows, Index count, Index tail, const typename Reduction::Real* center,
                       const Sums<Reduction::kSums>& sums, Companion& companion, Reach reach) {
  if (reach == Reach::memory) {
    add_blocks<A, Reduction, true>(rows, count, tail, center, sums, companion);
  } else {
    add_blocks<A, Reduction, false>(rows, count, tail, center, sums, companion);
  }
}

// Rows `first` to `first + count` of a block that other rows of other memory belong to as well.
template <class A, class Reduction>
[[gnu::flatten, gnu::noinline]] inline void add_to_block(const RowsOf<Reduction>& rows, Index first, Index count,
                                                         const typename Reduction::Real* center,
                                                         typename Reduction::template Block<A>& block, Reach reach) {
  if (reach == Reach::memory) {
    NoLookahead alone;
    PageAhead<NoLookahead, Reduction::kSources, typename Reduction::Stored> ahead{alone, rows};
    for (Index row = 0; row < count; ++row) ahead.template step<1>();
  }
  using Reader = typename RowsFor<Reduction>::template Reader<A, false>;
  const auto about = load_center<A, typename Reduction::template Block<A>::Center>(center);
  typename Reduction::template Block<A> sums = block;
  Index row = 0;
  if (first % 2 != 0 && count > 0) sums.add(Reader{rows, row++, 0, kLanes}, about, Odd{});
  for (; row + 2 <= count; row += 2) {
    sums.add(Reader{rows, row, 0, kLanes}, about, Even{});
    sums.add(Reader{rows, row + 1, 0, kLanes}, about, Odd{});
  }
  if (row < count) sums.add(Reader{rows, row, 0, kLanes}, about, Even{});
  block = sums;
}

// The `lanes` lanes of one row behind them.
template <class A, class Reduction>
inline void add_tail_to_block(const RowsOf<Reduction>& rows, Index lanes, const typename Reduction::Real* center,
                              typename Reduction::template Block<A>& block) {
  block.add(typename RowsFor<Reduction>::template Reader<A, true>{rows, 0, 0, lanes},
            load_first_center<A, typename Reduction::template Block<A>::Center>(center, lanes), Odd{});
}

// How rows go into blocks: as they follow each other, or by turns, so that a block's rows lie far apart and each is the
// head of a stream through memory that the blocks after it follow.
enum class RowOrder { consecutive, by_turns };

struct Blocks {
  Index count;
  Index least;   // rows of each
  Index longer;  // so many of the first have a row more
  RowOrder order;

  Index rows(Index block) const { return least + (block < longer ? 1 : 0); }
  Index first(Index block) const {
    return order == RowOrder::by_turns ? block : block * least + (block < longer ? block : longer);
  }
  // From one of its rows to the next.
  Index distance() const { return order == RowOrder::by_turns ? count : 1; }
};

// Sums in double go on from block to block: theirs are rows as they follow each other.
template <class Reduction>
inline RowOrder order_for(RowOrder wanted) {
  return Reduction::kParityMatters ? wanted : RowOrder::consecutive;
}

template <class Reduction>
inline Blocks blocks_of_rows(Index rows, RowOrder wanted, Index at_once = Reduction::kRowsAtOnce) {
  const RowOrder order = order_for<Reduction>(wanted);
  const Index count = (rows + at_once - 1) / at_once;
  return count == 0 ? Blocks{0, 0, 0, order} : Blocks{count, rows / count, rows % count, order};
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

// The nearer the order in which rows are read to that in which they lie, the better for memory; the more rows at once,
// the less often their sums are loaded and stored, which costs most where registers are narrow. Rows that are ahead of
// long ones would drive each other out of the first cache.
template <class A, class Reduction>
inline Index rows_at_once(Index lanes, Reach reach) {
  constexpr Index kLongRow = 1024;
  constexpr Index kLongRowOfMemory = std::is_same_v<A, Avx512> ? 512 : kLongRow;
  if (Reduction::kParityMatters) return Reduction::kRowsAtOnce;
  const bool few = lanes >= (reach == Reach::memory ? kLongRowOfMemory : kLongRow);
  return few ? 2 : Reduction::kRowsAtOnce;
}

// Adds `count` rows of `lanes` lanes; center and sums have a place for each, and sums up to a multiple of 16. In the
// core's own cache a lane's rows are taken all at once.
template <class A, class Reduction>
[[gnu::flatten, gnu::noinline]] inline void add_rows(const RowsOf<Reduction>& rows, Index count, Index lanes,
                                                     const typename Reduction::Real* center,
                                                     const Sums<Reduction::kSums>& sums, RowOrder wanted, Reach reach) {
  constexpr StreamStep step{kLanes, kLanes};
  const RowOrder order = order_for<Reduction>(wanted);
  NoLookahead nothing;
  if constexpr (!Reduction::kParityMatters) {
    if (reach == Reach::own_cache) {
      add_lanes<A, Reduction, 2>(
          lanes, center, sums, [&](auto& streams, Index lane, Index lanes_of_all) __attribute__((always_inline)) {
            take_in<Reduction>(streams, shifted(rows, 0, lane), count, lanes_of_all, step, nothing);
          });
      return;
    }
  }
  const Index at_once = rows_at_once<A, Reduction>(lanes, reach);
  const Blocks blocks = blocks_of_rows<Reduction>(count, order, at_once);
  const auto add = [&](auto& ahead) __attribute__((always_inline)) {
    for (Index block = 0; block < blocks.count; ++block) {
      const RowsOf<Reduction> of_block = every(blocks.distance(), shifted(rows, blocks.first(block), 0));
      const Index rows_of_block = blocks.rows(block);
      add_lanes<A, Reduction, kStreams<A, Reduction>>(
          lanes, center, sums, [&](auto& streams, Index lane, Index lanes_of_all) __attribute__((always_inline)) {
            take_in<Reduction>(streams, shifted(of_block, 0, lane), rows_of_block, lanes_of_all, step, ahead);
          });
    }
  };
  if (order == RowOrder::consecutive && reach != Reach::own_cache) {
    Lookahead<Reduction::kSources, typename Reduction::Stored> ahead(rows, lanes, at_once);
    add(ahead);
  } else {
    add(nothing);
  }
}

}  // namespace
}  // namespace xbn::kernels
