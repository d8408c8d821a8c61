#pragma once

// Sums of one column of 16 lanes, block by block, alone or with a companion.

#include "kernels/row_streams.hpp"

namespace xbn::kernels {
namespace {

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

// Where reading goes on: at a position, counted from the tile's first, of a block of channels of an image.
struct Place {
  Index image;
  Index block;
  Index position;
};

// After a block of an image of a tile, and then of the next tile.
struct Reading {
  Index images;
  Index blocks;
  Index positions;
  PlanePart part;

  Place after(Index image, Index block) const {
    if (block + 1 < blocks) return {image, block + 1, 0};
    if (image + 1 < images) return {image + 1, 0, 0};
    return part.to_end ? Place{image + 1, 0, -part.first} : Place{image, 0, positions};
  }
};

// Rows that lie one after the other, or one row pitch apart.
template <class Reduction>
struct Column {
  RowsOf<Reduction> rows;
  Index count;
  const typename Reduction::Stored* next[Reduction::kSources];  // where reading goes on after it

  // Rows that lie a page before those that are touched while the rows from `row` on are added.
  Rows<Reduction::kSources, typename Reduction::Stored> page_before_touched(Index row) const {
    constexpr Index kRowsOfPage = kPageOf<typename Reduction::Stored> / kLanes;
    Rows<Reduction::kSources, typename Reduction::Stored> result = shifted(rows, row, 0);
    if (row + kRowsOfPage < count) return result;
    for (int i = 0; i < Reduction::kSources; ++i) result.data[i] = next[i] + (row - count) * kLanes;
    return result;
  }
};

// One after which reading goes on behind it.
template <class Reduction>
inline Column<Reduction> column_in_order(const RowsOf<Reduction>& rows, Index count) {
  Column<Reduction> column{rows, count, {}};
  for (int i = 0; i < Reduction::kSources; ++i) column.next[i] = rows.data[i] + count * rows.stride[i];
  return column;
}

// The block that begins at row `row`.
template <class A, class Reduction, bool kLooksAhead, class Beside>
[[gnu::always_inline]] inline void add_block_of_column(const Column<Reduction>& column, Index row, Index count,
                                                       Index tail, const typename Reduction::Real* center,
                                                       const Sums<Reduction::kSums>& sums, Beside& beside) {
  const RowsOf<Reduction> rows = shifted(column.rows, row, 0);
  if constexpr (kLooksAhead) {
    PageAhead<Beside, Reduction::kSources, typename Reduction::Stored> both{beside, column.page_before_touched(row)};
    add_block<A, Reduction>(rows, count, tail, center, sums, both);
  } else {
    add_block<A, Reduction>(rows, count, tail, center, sums, beside);
  }
}

template <class A, class Reduction, bool kLooksAhead, class Companion>
[[gnu::flatten, gnu::noinline]] inline void add_blocks(const Column<Reduction>& column, Index count, Index tail,
                                                       const typename Reduction::Real* center,
                                                       const Sums<Reduction::kSums>& sums, Companion& companion) {
  NoLookahead alone;
  Index row = 0;
  for (; row + kBlockRows <= count; row += kBlockRows) {
    if constexpr (Companion::kWorks) {
      if (companion.has(kBlockRows)) {
        auto burst = companion.burst();
        add_block_of_column<A, Reduction, kLooksAhead>(column, row, kBlockRows, 0, center, sums, burst);
        companion.skip(kBlockRows);
        continue;
      }
      companion.work(kBlockRows);
    }
    add_block_of_column<A, Reduction, kLooksAhead>(column, row, kBlockRows, 0, center, sums, alone);
  }
  const Index left = count - row;
  if (left > 0 || tail > 0) {
    companion.work(left);
    add_block_of_column<A, Reduction, kLooksAhead>(column, row, left, tail, center, sums, alone);
  }
}

// Adds `count` rows of a column, and `tail` lanes of one more, block after block to the same sums. One block at a time:
// several would fill the pipelines no better, and prefetchers do not follow streams a kilobyte apart. The companion
// (see companions.hpp) takes in as many vectors as the sums do.
template <class A, class Reduction, class Companion>
inline void add_column(const Column<Reduction>& column, Index count, Index tail, const typename Reduction::Real* center,
                       const Sums<Reduction::kSums>& sums, Companion& companion, Reach reach) {
  if (reach >= Reach::contended_cache) {
    add_blocks<A, Reduction, true>(column, count, tail, center, sums, companion);
  } else {
    add_blocks<A, Reduction, false>(column, count, tail, center, sums, companion);
  }
}

// Adds `columns` of `count` rows and `tail` lanes each, `pitch` apart, as add_column does one after the other. Short
// ones feel less of what is done once a column; and sums that are in double all along stay in registers.
template <class A, class Reduction>
[[gnu::flatten, gnu::noinline]] inline void add_columns(RowsOf<Reduction> rows, Index columns,
                                                        const Index (&pitch)[Reduction::kSources], Index count,
                                                        Index tail, const typename Reduction::Real* center,
                                                        const Sums<Reduction::kSums>& sums) {
  constexpr StreamStep step{0, 0};
  NoLookahead alone;
  const auto next_column = [&] {
    for (int i = 0; i < Reduction::kSources; ++i) rows.data[i] += pitch[i];
  };
  if constexpr (Reduction::kParityMatters) {
    for (Index column = 0; column < columns; ++column, next_column()) {
      Index row = 0;
      for (; row + kBlockRows <= count; row += kBlockRows) {
        add_block<A, Reduction>(shifted(rows, row, 0), kBlockRows, 0, center, sums, alone);
      }
      if (row == count && tail == 0) continue;
      add_block<A, Reduction>(shifted(rows, row, 0), count - row, tail, center, sums, alone);
    }
  } else {
    StreamSet<A, Reduction, 1, false> stream(sums.sum, 0, center, kLanes, step);
    for (Index column = 0; column < columns; ++column, next_column()) {
      take_in<Reduction>(stream, rows, count, kLanes, step, alone);
      if (tail > 0) stream.add_tail(rows, count, tail, center);
    }
    stream.finish(sums.sum, 0, step);
  }
}

}  // namespace
}  // namespace xbn::kernels
