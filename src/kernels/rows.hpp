#pragma once

// Rows of 16 lanes in memory, and how one is read. What a row is, the families say: 16 channels of a position, or 16
// positions of a channel.

#include "kernels/storage.hpp"

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

}  // namespace
}  // namespace xbn::kernels
