#pragma once

// The mask of planes of one position, in ncx: a byte an element, of which bit 0 is the element's. Kernels know it as
// that of nc, where an image's bits are packed.

#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::internal {

using kernels::Index;

// Whether planes are of one position, and so rows of channels.
inline bool has_points(const Problem& problem) { return problem.layout == Layout::ncx && problem.spatial == 1; }

inline bool has_point_mask(const Problem& problem) {
  return has_points(problem) && problem.activation.kind == ActivationKind::relu;
}

// Bytes of an image's packed bits.
inline Index packed_bytes(const Problem& problem) { return (problem.channels + 7) / 8; }

// Of `images` images; both masks begin at the first of them.
void pack_points(const Problem& problem, Index images, const std::uint8_t* points, std::uint8_t* packed);
void unpack_points(const Problem& problem, Index images, const std::uint8_t* packed, std::uint8_t* points);

}  // namespace xbn::internal
