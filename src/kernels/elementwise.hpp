#pragma once

// What the apply passes compute of each element, and the runs and rows over which they do it.

#include "kernels/dense_rows.hpp"

namespace xbn::kernels {
namespace {

// An operation names its sources and its per-channel coefficients, and computes one vector of results.

// y = (x - mean) * scale + shift
struct ApplyCentered {
  static constexpr int kSources = 1;
  static constexpr int kCoefficients = 3;
  template <class A>
  static Lanes<A> compute(const Lanes<A>* source, const Lanes<A>* coefficient) {
    return fma(source[0] - coefficient[0], coefficient[1], coefficient[2]);
  }
};

// y = x * scale + shift
struct ApplyFolded {
  static constexpr int kSources = 1;
  static constexpr int kCoefficients = 2;
  template <class A>
  static Lanes<A> compute(const Lanes<A>* source, const Lanes<A>* coefficient) {
    return fma(source[0], coefficient[0], coefficient[1]);
  }
};

// dx = a * (dy + (b * (x - mean) + c)); sources dy, x
struct ApplyGradient {
  static constexpr int kSources = 2;
  static constexpr int kCoefficients = 4;
  template <class A>
  static Lanes<A> compute(const Lanes<A>* source, const Lanes<A>* coefficient) {
    const Lanes<A> through_statistics = fma(source[1] - coefficient[0], coefficient[2], coefficient[3]);
    return (source[0] + through_statistics) * coefficient[1];
  }
};

// dx = a * dy
struct ApplyScale {
  static constexpr int kSources = 1;
  static constexpr int kCoefficients = 1;
  template <class A>
  static Lanes<A> compute(const Lanes<A>* source, const Lanes<A>* coefficient) {
    return source[0] * coefficient[0];
  }
};

template <class Operation>
struct Coefficients {
  const float* of[Operation::kCoefficients];
};

template <class Source, int kCount>
struct SourcesOf {
  Source of[kCount];
};

// Call run(sources, coefficients) with the operation that the coefficients at hand stand for.
template <class Source, class Run>
inline void with_operation(const Source& x, const Affine& affine, const Run& run) {
  if (affine.mean != nullptr) {
    run(SourcesOf<Source, 1>{{x}}, Coefficients<ApplyCentered>{{affine.mean, affine.scale, affine.shift}});
  } else {
    run(SourcesOf<Source, 1>{{x}}, Coefficients<ApplyFolded>{{affine.scale, affine.shift}});
  }
}

template <class Source, class Run>
inline void with_operation(const Source& x, const Source& dy, const GradientAffine& affine, const Run& run) {
  if (affine.b != nullptr) {
    run(SourcesOf<Source, 2>{{dy, x}}, Coefficients<ApplyGradient>{{affine.mean, affine.a, affine.b, affine.c}});
  } else {
    run(SourcesOf<Source, 1>{{dy}}, Coefficients<ApplyScale>{{affine.a}});
  }
}

template <class Operation>
struct Streams {
  const float* source[Operation::kSources];
  float* destination;
  Index ahead[Operation::kSources] = {};  // from what is read to what is fetched for the next pass; 0: nothing
};

template <class A, class Operation>
inline Lanes<A> compute_at(const Streams<Operation>& streams, Index offset, const Lanes<A>* coefficient) {
  Lanes<A> source[Operation::kSources];
#pragma GCC unroll 2
  for (int i = 0; i < Operation::kSources; ++i) source[i] = Lanes<A>::load(streams.source[i] + offset);
  return Operation::template compute<A>(source, coefficient);
}

template <class A, class Operation>
inline void compute_first(const Streams<Operation>& streams, Index offset, Index count, const Lanes<A>* coefficient) {
  Lanes<A> source[Operation::kSources];
#pragma GCC unroll 2
  for (int i = 0; i < Operation::kSources; ++i) source[i] = Lanes<A>::load_first(streams.source[i] + offset, count);
  Operation::template compute<A>(source, coefficient).store_first(streams.destination + offset, count);
}

template <class A, Store kStore>
inline void put(const Lanes<A>& value, float* to) {
  if constexpr (kStore == Store::streaming) {
    value.stream(to);
  } else {
    value.store(to);
  }
}

// Beside a streaming store.
template <class Operation>
inline void look_ahead(const Streams<Operation>& streams, Index offset) {
  if (streams.ahead[0] == 0) return;
  for (int i = 0; i < Operation::kSources; ++i) prefetch_second(streams.source[i] + offset + streams.ahead[i]);
}

// Elements until `address` is aligned for a streaming store.
inline Index misaligned_elements(const float* address) {
  return static_cast<Index>((0U - reinterpret_cast<std::uintptr_t>(address)) / sizeof(float) & (kLanes - 1));
}

// What prefetchers follow: memory in order, of several pages side by side better than of one.
inline constexpr Index kPage = 4096 / sizeof(float);

// Whole vectors of [first, end).
template <class A, class Operation, Store kStore>
[[gnu::flatten, gnu::noinline]] inline void apply_vectors(const Streams<Operation>& streams, Index first, Index end,
                                                          const Lanes<A>* coefficient) {
  constexpr Index kUnroll = 4;
  const Index quarter = (end - first) / (kUnroll * kLanes) * kLanes;
  const bool by_quarters = kStore == Store::streaming && Operation::kSources == 1 && quarter >= kPage;
  const Index distance = by_quarters ? quarter : kLanes;
  const Index stride = by_quarters ? kLanes : kUnroll * kLanes;
  Index i = first;
  for (Index turn = 0; turn < quarter; turn += kLanes, i += stride) {
    if constexpr (kStore == Store::streaming) {
#pragma GCC unroll 4
      for (Index k = 0; k < kUnroll; ++k) look_ahead(streams, i + k * distance);
    }
    Lanes<A> result[kUnroll];
#pragma GCC unroll 4
    for (Index k = 0; k < kUnroll; ++k) result[k] = compute_at<A>(streams, i + k * distance, coefficient);
#pragma GCC unroll 4
    for (Index k = 0; k < kUnroll; ++k) put<A, kStore>(result[k], streams.destination + i + k * distance);
  }
  for (i = first + kUnroll * quarter; i + kLanes <= end; i += kLanes) {
    put<A, kStore>(compute_at<A>(streams, i, coefficient), streams.destination + i);
  }
}

// `length` consecutive elements of one channel.
template <class A, class Operation, Store kStore>
[[gnu::flatten, gnu::noinline]] inline void apply_run(const Streams<Operation>& streams, Index length,
                                                      const Lanes<A>* coefficient) {
  Index i = 0;
  if constexpr (kStore == Store::streaming) {
    const Index head = misaligned_elements(streams.destination);
    if (head > 0) {
      i = head < length ? head : length;
      compute_first<A>(streams, 0, i, coefficient);
    }
  }
  const Index whole = (length - i) / kLanes * kLanes;
  apply_vectors<A, Operation, kStore>(streams, i, i + whole, coefficient);
  i += whole;
  if (i < length) compute_first<A>(streams, i, length - i, coefficient);
}

template <class Operation>
struct RowStreams {
  Streams<Operation> first;
  Index source_stride[Operation::kSources];
  Index destination_stride;

  Streams<Operation> row(Index index) const {
    Streams<Operation> result = first;
    skip(result, index);
    return result;
  }
  void skip(Streams<Operation>& streams, Index count) const {
    for (int i = 0; i < Operation::kSources; ++i) streams.source[i] += count * source_stride[i];
    streams.destination += count * destination_stride;
  }
};

// `turns` times kRows rows of all channels, `distance` apart, each turn `stride` rows behind the last: coefficients are
// loaded once for the rows of a turn. Turns are taken here and not by the caller: short rows feel a call.
template <class A, class Operation, Store kStore, Index kRows>
[[gnu::flatten, gnu::noinline]] inline void apply_bands(const RowStreams<Operation>& rows, Index first_row, Index turns,
                                                        Index distance, Index stride, Index lanes,
                                                        const Coefficients<Operation>& coefficients) {
  Streams<Operation> streams[kRows];
#pragma GCC unroll 4
  for (Index r = 0; r < kRows; ++r) streams[r] = rows.row(first_row + r * distance);
  for (Index turn = 0; turn < turns; ++turn) {
    Lanes<A> coefficient[Operation::kCoefficients];
    Index lane = 0;
    for (; lane + kLanes <= lanes; lane += kLanes) {
#pragma GCC unroll 4
      for (int i = 0; i < Operation::kCoefficients; ++i) coefficient[i] = Lanes<A>::load(coefficients.of[i] + lane);
#pragma GCC unroll 4
      for (Index r = 0; r < kRows; ++r) {
        put<A, kStore>(compute_at<A>(streams[r], lane, coefficient), streams[r].destination + lane);
      }
    }
    if (lane < lanes) {
      const Index count = lanes - lane;
      for (int i = 0; i < Operation::kCoefficients; ++i) {
        coefficient[i] = Lanes<A>::load_first(coefficients.of[i] + lane, count);
      }
      for (Index r = 0; r < kRows; ++r) compute_first<A>(streams[r], lane, count, coefficient);
    }
#pragma GCC unroll 4
    for (Index r = 0; r < kRows; ++r) rows.skip(streams[r], stride);
  }
}

// `count` rows of `lanes` consecutive channels. Streaming needs rows aligned to 64 bytes.
template <class A, class Operation, Store kStore>
inline void apply_rows(const RowStreams<Operation>& rows, Index count, Index lanes,
                       const Coefficients<Operation>& coefficients) {
  // Several rows at a time save loads of coefficients.
  constexpr Index kBand = 4;
  Index quarter = count / kBand;
  const bool by_quarters = kStore == Store::streaming && quarter * rows.destination_stride >= kPage;
  // Streams that begin at one place in their pages contend for the same sets of the caches.
  if (by_quarters && quarter * rows.destination_stride % kPage == 0) {
    const Index row = rows.destination_stride < kPage / 4 ? rows.destination_stride : kPage / 4;
    quarter -= kPage / 4 / row;
  }
  const Index distance = by_quarters ? quarter : 1;
  const Index stride = by_quarters ? 1 : kBand;
  apply_bands<A, Operation, kStore, kBand>(rows, 0, quarter, distance, stride, lanes, coefficients);
  const Index done = quarter * kBand;
  if (done < count) apply_bands<A, Operation, kStore, 1>(rows, done, count - done, 0, 1, lanes, coefficients);
}

// `count` rows of `lanes` lanes that follow each other: as one run.
template <class A, class Operation, Store kStore>
[[gnu::flatten, gnu::noinline]] inline void apply_dense_rows(const Streams<Operation>& streams, Index count,
                                                             Index lanes, const Coefficients<Operation>& coefficients) {
  const DenseCoefficients<A, float, Operation::kCoefficients> of_lanes(coefficients.of, lanes);
  const Index elements = count * lanes;
  const Index head = kStore == Store::streaming ? misaligned_elements(streams.destination) : 0;
  Lanes<A> coefficient[Operation::kCoefficients];
  Index lane = 0;
  if (head > 0) {
    of_lanes.next(lane, coefficient);
    compute_first<A>(streams, 0, head, coefficient);
  }
  const Index stream = rows_of_stream((elements - head) / lanes, lanes, kLanes) * lanes;
  Index i = head;
  for (lane = head; i < head + stream; i += kLanes) {
    of_lanes.next(lane, coefficient);
#pragma GCC unroll 4
    for (Index r = 0; r < kDenseStreams; ++r) {
      put<A, kStore>(compute_at<A>(streams, i + r * stream, coefficient), streams.destination + i + r * stream);
    }
  }
  i = head + kDenseStreams * stream;
  for (lane = head; i + kLanes <= elements; i += kLanes) {
    of_lanes.next(lane, coefficient);
    put<A, kStore>(compute_at<A>(streams, i, coefficient), streams.destination + i);
  }
  if (i == elements) return;
  of_lanes.next(lane, coefficient);
  compute_first<A>(streams, i, elements - i, coefficient);
}

}  // namespace
}  // namespace xbn::kernels
