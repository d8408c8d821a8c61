#pragma once

/// Whether two arguments of a call touch the same memory.

#include <array>
#include <cstddef>
#include <cstdint>

#include "nesting.hpp"
#include "xbn/tensor.hpp"

namespace xbn::internal {

/// No argument may reach beyond this address: it is past any that exists, and leaves room to add distances.
inline constexpr std::uintptr_t address_limit = std::uintptr_t{1} << 62;

/// The bytes of an argument that a call touches: runs, repeated along the batch, planes and positions, in this order.
/// Each pitch is at least the span of all that it repeats. Nothing touched: begin and end are 0.
struct Footprint {
  std::uintptr_t begin;
  std::uintptr_t end;
  std::array<std::int64_t, 3> extents;
  std::array<std::int64_t, 3> pitches;  ///< 0 where the extent is 1
  std::int64_t run;
  std::int64_t last_run;  ///< that of the last plane, where the last channel block is partial
};

/// A contiguous array below address_limit; null is nothing touched.
Footprint array_footprint(const void* data, std::size_t bytes);

/// A tensor with resolved strides, below address_limit. `last_run` in elements, `element` bytes each.
Footprint tensor_footprint(const void* data, std::int64_t element, const Nesting& nesting, const Strides& strides,
                           std::int64_t last_run);

inline bool ranges_overlap(const Footprint& a, const Footprint& b) { return a.begin < b.end && b.begin < a.end; }

/// Exact where one of the two is an array and where all pitches are equal. Where pitches differ, true unless the two
/// are proven disjoint: by the ranges of addresses of the parts that equal pitches repeat, by one of them lying in a
/// gap of the other, or by the places in the pitches' greatest common divisor.
bool overlap(const Footprint& a, const Footprint& b);

}  // namespace xbn::internal
