#pragma once

// Sums in 16 lanes. A block is at most kBlockRows rows; its single-precision sums start at zero, take one addition a
// row and lane, and are then added to sums in double. What a row is, the families say: 16 channels of a position, or 16
// positions of a channel.

#include "kernels/simd_extras.hpp"

namespace xbn::kernels {
namespace {

template <class A>
inline void add_to(double* sums, const DoubleLanes<A>& value) {
  (DoubleLanes<A>::load(sums) + value).store(sums);
}

// One row of 16 lanes of each source, or the first `count` lanes of it and zeros.
template <class A>
struct WholeRow {
  const float* const* data;
  Lanes<A> lanes(int source) const { return Lanes<A>::load(data[source]); }
  DoubleLanes<A> widened(int source) const { return load_widened<DoubleLanes<A>>(data[source]); }
};

template <class A>
struct PartialRow {
  const float* const* data;
  Index count;
  Lanes<A> lanes(int source) const { return Lanes<A>::load_first(data[source], count); }
  DoubleLanes<A> widened(int source) const { return widen(lanes(source)); }
};

// A reduction names its sources and sums, holds the sums of one block, says how one row of lanes enters them, and adds
// them to the sums in double. Lanes that are masked out are zero in every source and in `center`, and add zero.

// About a pivot: sum of x - pivot, sum of (x - pivot)^2. A block's are in single precision.
struct MomentsReduction {
  static constexpr int kSources = 1;
  static constexpr int kSums = 2;

  template <class A>
  struct Block {
    Lanes<A> deviations = Lanes<A>::all(0);
    Lanes<A> squares = Lanes<A>::all(0);

    template <class Row>
    void add(const Row& row, const Lanes<A>& center) {
      const Lanes<A> deviation = row.lanes(0) - center;
      deviations = deviations + deviation;
      squares = fma(deviation, deviation, squares);
    }

    void finish(double* const* sums, Index offset) const {
      add_to(sums[0] + offset, widen(deviations));
      add_to(sums[1] + offset, widen(squares));
    }
  };
};

// About the saved mean: sum of dy, sum of dy * (x - mean), sum of x - mean. Sources dy, x. The first two in double
// throughout: they are differences of large numbers wherever dy has no mean to speak of, and dx keeps its bound there
// only if they keep more digits than single precision has.
struct GradientReduction {
  static constexpr int kSources = 2;
  static constexpr int kSums = 3;

  template <class A>
  struct Block {
    DoubleLanes<A> gradients = DoubleLanes<A>::all(0);
    DoubleLanes<A> products = DoubleLanes<A>::all(0);
    Lanes<A> deviations = Lanes<A>::all(0);

    template <class Row>
    void add(const Row& row, const Lanes<A>& center) {
      const Lanes<A> deviation = row.lanes(1) - center;
      const DoubleLanes<A> gradient = row.widened(0);
      gradients = gradients + gradient;
      products = fma(gradient, widen(deviation), products);
      deviations = deviations + deviation;
    }

    void finish(double* const* sums, Index offset) const {
      add_to(sums[0] + offset, gradients);
      add_to(sums[1] + offset, products);
      add_to(sums[2] + offset, widen(deviations));
    }
  };
};

// Sum of dy.
struct SumReduction {
  static constexpr int kSources = 1;
  static constexpr int kSums = 1;

  template <class A>
  struct Block {
    DoubleLanes<A> sum = DoubleLanes<A>::all(0);
    template <class Row>
    void add(const Row& row, const Lanes<A>&) {
      sum = sum + row.widened(0);
    }
    void finish(double* const* sums, Index offset) const { add_to(sums[0] + offset, sum); }
  };
};

template <int kSources>
struct Rows {
  const float* data[kSources];
  Index stride[kSources];
};

template <int kSums>
struct Sums {
  double* sum[kSums];
};

// Streams are independent blocks that run side by side, which changes no sum: it only fills the pipelines. As many as
// the registers hold.
template <class A, class Reduction>
inline constexpr int kStreams = std::is_same_v<A, Avx512> ? 4
                                                          : (std::is_same_v<A, Avx2>&& Reduction::kSums < 3 ? 2 : 1);

// Distances from a stream to the next.
struct StreamStep {
  Index rows;    // along the rows, for further blocks of the same lanes
  Index lanes;   // along the lanes, for the same rows of further lanes
  Index center;  // in center and sums: equal to `lanes`, or 0 where all streams are of the same lanes
};

// One block of each stream. `lanes` is 16 or, if kPartial, less; `tail` lanes of one row more follow the last row.
template <class A, class Reduction, int kStreamCount, bool kPartial>
inline void add_block(const Rows<Reduction::kSources>& rows, Index count, Index lanes, Index tail, const float* center,
                      const Sums<Reduction::kSums>& sums, const StreamStep& step) {
  constexpr int kSources = Reduction::kSources;
  typename Reduction::template Block<A> blocks[kStreamCount];
  Lanes<A> about[kStreamCount];
#pragma GCC unroll 4
  for (int k = 0; k < kStreamCount; ++k) {
    const float* from = center + k * step.center;
    about[k] = kPartial ? Lanes<A>::load_first(from, lanes) : Lanes<A>::load(from);
  }
  for (Index row = 0; row < count; ++row) {
#pragma GCC unroll 4
    for (int k = 0; k < kStreamCount; ++k) {
      const float* data[kSources];
#pragma GCC unroll 2
      for (int i = 0; i < kSources; ++i) {
        data[i] = rows.data[i] + (row + k * step.rows) * rows.stride[i] + k * step.lanes;
      }
      if constexpr (kPartial) {
        blocks[k].add(PartialRow<A>{data, lanes}, about[k]);
      } else {
        blocks[k].add(WholeRow<A>{data}, about[k]);
      }
    }
  }
  if (tail > 0) {
    const float* data[kSources];
    for (int i = 0; i < kSources; ++i) data[i] = rows.data[i] + count * rows.stride[i];
    blocks[0].add(PartialRow<A>{data, tail}, Lanes<A>::load_first(center, tail));
  }
#pragma GCC unroll 4
  for (int k = 0; k < kStreamCount; ++k) blocks[k].finish(sums.sum, k * step.center);
}

template <int kSources>
inline Rows<kSources> shifted(const Rows<kSources>& rows, Index row, Index lane) {
  Rows<kSources> result = rows;
  for (int i = 0; i < kSources; ++i) result.data[i] += row * rows.stride[i] + lane;
  return result;
}

// Adds `count` rows of 16 lanes, and `tail` lanes of one more, block after block to the same sums.
template <class A, class Reduction>
inline void add_column(const Rows<Reduction::kSources>& rows, Index count, Index tail, const float* center,
                       const Sums<Reduction::kSums>& sums) {
  constexpr int kStreamCount = kStreams<A, Reduction>;
  constexpr StreamStep step{kBlockRows, 0, 0};
  Index row = 0;
  if constexpr (kStreamCount > 1) {
    for (; row + kStreamCount * kBlockRows <= count; row += kStreamCount * kBlockRows) {
      add_block<A, Reduction, kStreamCount, false>(shifted(rows, row, 0), kBlockRows, kLanes, 0, center, sums, step);
    }
  }
  for (; row + kBlockRows <= count; row += kBlockRows) {
    add_block<A, Reduction, 1, false>(shifted(rows, row, 0), kBlockRows, kLanes, 0, center, sums, step);
  }
  if (row < count || tail > 0) {
    add_block<A, Reduction, 1, false>(shifted(rows, row, 0), count - row, kLanes, tail, center, sums, step);
  }
}

// Adds `count` rows of `lanes` lanes; center and sums have a place for each, and sums up to a multiple of 16.
template <class A, class Reduction>
inline void add_rows(const Rows<Reduction::kSources>& rows, Index count, Index lanes, const float* center,
                     const Sums<Reduction::kSums>& sums) {
  if (lanes == kLanes) return add_column<A, Reduction>(rows, count, 0, center, sums);
  constexpr int kStreamCount = kStreams<A, Reduction>;
  constexpr StreamStep step{0, kLanes, kLanes};
  for (Index row = 0; row < count; row += kBlockRows) {
    const Index block = count - row < kBlockRows ? count - row : kBlockRows;
    const auto at = [&](Index lane) {
      Sums<Reduction::kSums> result = sums;
      for (double*& sum : result.sum) sum += lane;
      return result;
    };
    Index lane = 0;
    for (; lane + kStreamCount * kLanes <= lanes; lane += kStreamCount * kLanes) {
      add_block<A, Reduction, kStreamCount, false>(shifted(rows, row, lane), block, kLanes, 0, center + lane, at(lane),
                                                   step);
    }
    for (; lane + kLanes <= lanes; lane += kLanes) {
      add_block<A, Reduction, 1, false>(shifted(rows, row, lane), block, kLanes, 0, center + lane, at(lane), step);
    }
    if (lane < lanes) {
      add_block<A, Reduction, 1, true>(shifted(rows, row, lane), block, lanes - lane, 0, center + lane, at(lane), step);
    }
  }
}

}  // namespace
}  // namespace xbn::kernels
