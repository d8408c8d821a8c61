#pragma once

// A block of rows as it is added: in one column of lanes, or in several side by side.

#include "kernels/reductions.hpp"
#include "kernels/rows.hpp"

namespace xbn::kernels {
namespace {

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

struct NoLookahead {
  template <int kLines>
  void step() {}
};

template <class Stored>
inline constexpr Index kPageOf = 4096 / sizeof(Stored);

// Touches what lies a page behind each of some rows, and lets another go along.
template <class Beside, int kSources, class Stored>
struct PageAhead {
  Beside& beside;
  Rows<kSources, Stored> rows;

  template <int kLines>
  void step() {
    beside.template step<kLines>();
    for (int i = 0; i < kSources; ++i) {
      for (Index line = 0; line < kLines; ++line) prefetch(rows.data[i] + kPageOf<Stored> + line * kLanes);
      rows.data[i] += rows.stride[i];
    }
  }
};

// Beside what whole blocks of moments are added without a loop over their rows.
template <class Beside>
inline constexpr bool kIsLight = false;
template <>
inline constexpr bool kIsLight<NoLookahead> = true;
template <int kSources, class Stored>
inline constexpr bool kIsLight<PageAhead<NoLookahead, kSources, Stored>> = true;

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

template <class Reduction, class Streams, class Beside, class Parity>
[[gnu::always_inline]] inline void take_in_row(Streams& streams, const RowsOf<Reduction>& rows, Index row, Index lanes,
                                               const StreamStep& step, Beside& beside, Parity parity) {
  constexpr int kLines = Streams::kStreamCount;
  beside.template step<kLines>();
  streams.add(rows, row, 0, lanes, step, parity);
}

// Whole blocks of moments without a loop over their rows: with one they take up to 1.7 times as long from memory.
template <class Reduction, class Streams, class Beside>
[[gnu::always_inline]] inline void take_in(Streams& streams, const RowsOf<Reduction>& rows, Index count, Index lanes,
                                           const StreamStep& step, Beside& beside) {
  constexpr Index kWhole = Reduction::kRowsAtOnce;
  static_assert(kWhole % 2 == 0);
  if (kIsLight<Beside> && Reduction::kParityMatters && count == kWhole) {
#pragma GCC unroll 8
    for (Index row = 0; row < kWhole; row += 2) {
      take_in_row<Reduction>(streams, rows, row, lanes, step, beside, Even{});
      take_in_row<Reduction>(streams, rows, row + 1, lanes, step, beside, Odd{});
    }
    return;
  }
  Index row = 0;
  for (; row + 2 <= count; row += 2) {
    take_in_row<Reduction>(streams, rows, row, lanes, step, beside, Even{});
    take_in_row<Reduction>(streams, rows, row + 1, lanes, step, beside, Odd{});
  }
  if (row < count) take_in_row<Reduction>(streams, rows, row, lanes, step, beside, Even{});
}

}  // namespace
}  // namespace xbn::kernels
