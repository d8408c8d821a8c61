#include "point_mask.hpp"

#include <algorithm>
#include <cstring>

namespace xbn::internal {

namespace {

constexpr std::uint64_t kBit0 = 0x0101010101010101;

// Bit 0 of byte i becomes bit i.
std::uint8_t pack(std::uint64_t bytes) {
  return static_cast<std::uint8_t>((bytes & kBit0) * std::uint64_t{0x0102040810204080} >> 56);
}

// Bit i becomes bit 0 of byte i: each byte keeps its own bit, and carries it into bit 7.
std::uint64_t unpack(std::uint8_t bits) {
  const std::uint64_t own = (bits * kBit0) & std::uint64_t{0x8040201008040201};
  return (own + 0x7f * kBit0) >> 7 & kBit0;
}

}  // namespace

void pack_points(const Problem& problem, Index images, const std::uint8_t* points, std::uint8_t* packed) {
  for (Index n = 0; n < images; ++n, points += problem.channels) {
    for (Index first = 0; first < problem.channels; first += 8) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, points + first, static_cast<std::size_t>(std::min<Index>(8, problem.channels - first)));
      *packed++ = pack(bytes);
    }
  }
}

void unpack_points(const Problem& problem, Index images, const std::uint8_t* packed, std::uint8_t* points) {
  for (Index n = 0; n < images; ++n, points += problem.channels) {
    for (Index first = 0; first < problem.channels; first += 8) {
      const std::uint64_t bytes = unpack(*packed++);
      std::memcpy(points + first, &bytes, static_cast<std::size_t>(std::min<Index>(8, problem.channels - first)));
    }
  }
}

}  // namespace xbn::internal
