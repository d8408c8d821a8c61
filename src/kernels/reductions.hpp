#pragma once

// Sums in 16 lanes. A block is at most kBlockRows rows; its single-precision sums start at zero, take one addition a
// row and lane, and are then added to sums in double. What a row is, the families say: 16 channels of a position, or 16
// positions of a channel.

#include "kernels/storage.hpp"

namespace xbn::kernels {
namespace {

template <class A>
inline void add_to(double* sums, const DoubleLanes<A>& value) {
  (DoubleLanes<A>::load(sums) + value).store(sums);
}

// The companion of sums that go alone.
struct Alone {
  static constexpr bool kWorks = false;
  void work(Index) {}
};

// Which of a block's rows.
struct Even {};
struct Odd {};

// A reduction names its sources and sums, holds the sums of one block, says how one row of lanes enters them, and takes
// them to the sums in double. Lanes that are masked out are zero in every source and in `center`, and add zero.

// About a pivot: sum of x - pivot, sum of (x - pivot)^2. A block's are in single precision, in two chains of every
// other row: where most elements are equal, roundings do not average out, and half the length is half the error.
struct MomentsReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 1;
  static constexpr int kSums = 2;
  static constexpr bool kParityMatters = true;
  static constexpr Index kRowsAtOnce = 8;

  template <class A>
  struct Chain {
    Lanes<A> deviations = Lanes<A>::all(0);
    Lanes<A> squares = Lanes<A>::all(0);

    void add(const Lanes<A>& deviation) {
      deviations = deviations + deviation;
      squares = fma(deviation, deviation, squares);
    }
  };

  template <class A>
  struct Block {
    Chain<A> even;
    Chain<A> odd;

    Block() = default;
    Block(const double* const*, Index) {}

    template <class Row, class Parity>
    void add(const Row& row, const Lanes<A>& center, Parity) {
      (std::is_same_v<Parity, Even> ? even : odd).add(row.lanes(0) - center);
    }

    void finish(double* const* sums, Index offset) const {
      add_to(sums[0] + offset, widen(even.deviations + odd.deviations));
      add_to(sums[1] + offset, widen(even.squares + odd.squares));
    }
  };
};

// About the saved mean: sum of dy, sum of dy * (x - mean), sum of x - mean. Sources dy, x. In double throughout: the
// first two are differences of large numbers wherever dy has no mean to speak of, and dx keeps its bound there only if
// they keep more digits than single precision has. x is widened before the mean is taken off: from memory that costs
// less.
struct GradientReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 2;
  static constexpr int kSums = 3;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 4;

  template <class A>
  struct Block {
    DoubleLanes<A> gradients;
    DoubleLanes<A> products;
    DoubleLanes<A> deviations;

    Block(const double* const* sums, Index offset)
        : gradients(DoubleLanes<A>::load(sums[0] + offset)),
          products(DoubleLanes<A>::load(sums[1] + offset)),
          deviations(DoubleLanes<A>::load(sums[2] + offset)) {}

    template <class Row, class Parity>
    void add(const Row& row, const Lanes<A>& center, Parity) {
      const DoubleLanes<A> gradient = row.widened(0);
      const DoubleLanes<A> deviation = row.widened(1) - widen(center);
      gradients = gradients + gradient;
      products = fma(gradient, deviation, products);
      deviations = deviations + deviation;
    }

    void finish(double* const* sums, Index offset) const {
      gradients.store(sums[0] + offset);
      products.store(sums[1] + offset);
      deviations.store(sums[2] + offset);
    }
  };
};

// A reduction of elements that are stored in another type than they are computed in.
template <class Reduction, class T>
struct OfStored : Reduction {
  using Stored = T;
};

// Sum of dy.
struct SumReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 1;
  static constexpr int kSums = 1;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 4;

  template <class A>
  struct Block {
    DoubleLanes<A> sum;

    Block(const double* const* sums, Index offset) : sum(DoubleLanes<A>::load(sums[0] + offset)) {}

    template <class Row, class Parity>
    void add(const Row& row, const Lanes<A>&, Parity) {
      sum = sum + row.widened(0);
    }
    void finish(double* const* sums, Index offset) const { sum.store(sums[0] + offset); }
  };
};

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
  DoubleLanes<A> widened(int source) const {
    if constexpr (kPartial || !std::is_same_v<Stored, float>) {
      return widen(lanes(source));
    } else {
      return load_widened<DoubleLanes<A>>(at(source));
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
inline constexpr int kStreams =
    std::is_same_v<A, Avx512>&& std::is_same_v<typename Reduction::Real, float> ? 4 / Reduction::kSources : 1;

// Distances from a stream to the next.
struct StreamStep {
  Index lanes;
  Index center;
};

// Touches the block of rows after the one that is being added, in the order of memory: the sums go down the rows, and
// prefetchers do not follow that.
template <int kSources, class Stored>
struct Lookahead {
  Rows<kSources, Stored> rows;
  Index lanes;
  Index row = 0;
  Index lane = 0;

  template <int kLines>
  void step() {
    for (int i = 0; i < kSources; ++i) {
      const Stored* from = rows.data[i] + row * rows.stride[i] + lane;
      for (int line = 0; line < kLines; ++line) prefetch(from + line * kLanes);
    }
    lane += kLines * kLanes;
    if (lane >= lanes) {
      lane = 0;
      ++row;
    }
  }
};

struct NoLookahead {
  template <int kLines>
  void step() {}
};

// kCount streams: one, or two halves (see Pack).
template <class A, class Reduction, int kCount, bool kPartial>
struct StreamSet {
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
  using Real = typename Reduction::Real;
  using RowsOfAll = RowsOf<Reduction>;
  template <bool kSome>
  using Reader = typename RowsFor<Reduction>::template Reader<A, kSome>;

  typename Reduction::template Block<A> block;
  Pack<A, Real, kLanes> about;

  StreamSet(double* const* sums, Index offset, const Real* center, Index lanes, const StreamStep&)
      : block(sums, offset),
        about(kPartial ? Pack<A, Real, kLanes>::load_first(center, lanes) : Pack<A, Real, kLanes>::load(center)) {}

  template <class Parity>
  void add(const RowsOfAll& rows, Index row, Index lane, Index lanes, const StreamStep&, Parity parity) {
    block.add(Reader<kPartial>{rows, row, lane, lanes}, about, parity);
  }

  void add_tail(const RowsOfAll& rows, Index row, Index lanes, const Real* center) {
    block.add(Reader<true>{rows, row, 0, lanes}, Pack<A, Real, kLanes>::load_first(center, lanes), Odd{});
  }

  void finish(double* const* sums, Index offset, const StreamStep&) const { block.finish(sums, offset); }
};

// One block of each stream. `lanes` is 16 or, if kPartial, less; `tail` lanes of one row more may follow the last row
// of a single stream.
template <class A, class Reduction, int kStreamCount, bool kPartial, class Beside>
[[gnu::always_inline]] inline void add_block(const RowsOf<Reduction>& rows, Index count, Index lanes, Index tail,
                                             const typename Reduction::Real* center, const Sums<Reduction::kSums>& sums,
                                             const StreamStep& step, Beside& beside) {
  StreamSet<A, Reduction, kStreamCount, kPartial> streams(sums.sum, 0, center, lanes, step);
  Index row = 0;
  if constexpr (Reduction::kParityMatters) {
    for (; row + 2 <= count; row += 2) {
      beside.template step<kStreamCount>();
      streams.add(rows, row, 0, lanes, step, Even{});
      beside.template step<kStreamCount>();
      streams.add(rows, row + 1, 0, lanes, step, Odd{});
    }
    if (row < count) streams.add(rows, row, 0, lanes, step, Even{});
  } else {
    for (; row < count; ++row) {
      beside.template step<kStreamCount>();
      streams.add(rows, row, 0, lanes, step, Even{});
    }
  }
  if constexpr (kStreamCount == 1) {
    if (tail > 0) streams.add_tail(rows, count, tail, center);
  }
  streams.finish(sums.sum, 0, step);
}

// Adds `count` rows of 16 lanes, and `tail` lanes of one more, block after block to the same sums. One block at a time:
// several would fill the pipelines no better, and prefetchers do not follow streams a kilobyte apart. The companion
// (see companions.hpp) takes in as many vectors as the sums do.
template <class A, class Reduction, class Companion>
[[gnu::flatten, gnu::noinline]] inline void add_column(const RowsOf<Reduction>& rows, Index count, Index tail,
                                                       const typename Reduction::Real* center,
                                                       const Sums<Reduction::kSums>& sums, Companion& companion) {
  constexpr StreamStep step{0, 0};
  NoLookahead alone;
  Index row = 0;
  for (; row + kBlockRows <= count; row += kBlockRows) {
    if constexpr (Companion::kWorks) {
      if (companion.has(kBlockRows)) {
        auto burst = companion.burst();
        add_block<A, Reduction, 1, false>(shifted(rows, row, 0), kBlockRows, kLanes, 0, center, sums, step, burst);
        companion.skip(kBlockRows);
        continue;
      }
      companion.work(kBlockRows);
    }
    add_block<A, Reduction, 1, false>(shifted(rows, row, 0), kBlockRows, kLanes, 0, center, sums, step, alone);
  }
  if (row < count || tail > 0) {
    companion.work(count - row);
    add_block<A, Reduction, 1, false>(shifted(rows, row, 0), count - row, kLanes, tail, center, sums, step, alone);
  }
}

// Rows `first` to `first + count` of a block that other rows of other memory belong to as well.
template <class A, class Reduction>
[[gnu::flatten, gnu::noinline]] inline void add_to_block(const RowsOf<Reduction>& rows, Index first, Index count,
                                                         const typename Reduction::Real* center,
                                                         typename Reduction::template Block<A>& block) {
  using Reader = typename RowsFor<Reduction>::template Reader<A, false>;
  const auto about = Pack<A, typename Reduction::Real, kLanes>::load(center);
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
            Pack<A, typename Reduction::Real, kLanes>::load_first(center, lanes), Odd{});
}

// Rows go into blocks by turns, so that a block's rows lie far apart and each is the head of a stream through memory
// that the blocks after it follow: a few streams in pages of their own are what prefetchers are best at.
template <class Reduction>
inline Index blocks_of_rows(Index count) {
  return (count + Reduction::kRowsAtOnce - 1) / Reduction::kRowsAtOnce;
}

inline Index rows_of_block(Index count, Index blocks, Index block) { return (count - block + blocks - 1) / blocks; }

// Adds `count` rows of `lanes` lanes; center and sums have a place for each, and sums up to a multiple of 16.
template <class A, class Reduction>
[[gnu::flatten, gnu::noinline]] inline void add_rows(const RowsOf<Reduction>& rows, Index count, Index lanes,
                                                     const typename Reduction::Real* center,
                                                     const Sums<Reduction::kSums>& sums) {
  constexpr int kStreamCount = kStreams<A, Reduction>;
  constexpr StreamStep step{kLanes, kLanes};
  const Index blocks = blocks_of_rows<Reduction>(count);
  for (Index index = 0; index < blocks; ++index) {
    const Index block = rows_of_block(count, blocks, index);
    const RowsOf<Reduction> of_block = every(blocks, shifted(rows, index, 0));
    const auto at = [&](Index lane) {
      Sums<Reduction::kSums> result = sums;
      for (double*& sum : result.sum) sum += lane;
      return result;
    };
    Lookahead<Reduction::kSources, typename Reduction::Stored> ahead{every(blocks, shifted(rows, index + 1, 0)), lanes};
    Index lane = 0;
    for (; lane + kStreamCount * kLanes <= lanes; lane += kStreamCount * kLanes) {
      add_block<A, Reduction, kStreamCount, false>(shifted(of_block, 0, lane), block, kLanes, 0, center + lane,
                                                   at(lane), step, ahead);
    }
    for (; lane + kLanes <= lanes; lane += kLanes) {
      add_block<A, Reduction, 1, false>(shifted(of_block, 0, lane), block, kLanes, 0, center + lane, at(lane), step,
                                        ahead);
    }
    if (lane < lanes) {
      add_block<A, Reduction, 1, true>(shifted(of_block, 0, lane), block, lanes - lane, 0, center + lane, at(lane),
                                       step, ahead);
    }
  }
}

}  // namespace
}  // namespace xbn::kernels
