#pragma once

// Bits of consecutive elements between runs that each start on a byte, as masks have them, and one run without gaps.

#include <cstdint>
#include <cstring>

#include "kernels/kernel_table.hpp"

namespace xbn::kernels {
namespace {

// What a run without gaps has behind its last bit: it is read and written eight bytes at a time.
inline constexpr Index kBitSlack = 8;

// `count` bits from bit `first` of a run without gaps to a run of their own; its last byte is filled up with zeros.
inline void take_bits(const std::uint8_t* from, Index first, std::uint8_t* to, Index count) {
  const auto at = [&](Index i) {
    std::uint64_t bits;
    std::memcpy(&bits, from + (first + i) / 8, sizeof bits);
    return bits >> ((first + i) % 8);
  };
  Index i = 0;
  for (; i + 32 <= count; i += 32) {
    const auto bits = static_cast<std::uint32_t>(at(i));
    std::memcpy(to + i / 8, &bits, sizeof bits);
  }
  if (i == count) return;
  std::uint64_t bits = at(i) & ((std::uint64_t{1} << (count - i)) - 1);
  for (; i < count; i += 8, bits >>= 8) to[i / 8] = static_cast<std::uint8_t>(bits);
}

// The other way; in ascending order, as bits behind the last one become zero.
inline void put_bits(const std::uint8_t* from, std::uint8_t* to, Index first, Index count) {
  const auto put = [&](Index i, std::uint64_t bits) {
    std::uint8_t* const at = to + (first + i) / 8;
    const Index kept = (first + i) % 8;
    bits = bits << kept | (*at & ((1U << kept) - 1U));
    std::memcpy(at, &bits, sizeof bits);
  };
  Index i = 0;
  for (; i + 32 <= count; i += 32) {
    std::uint32_t bits;
    std::memcpy(&bits, from + i / 8, sizeof bits);
    put(i, bits);
  }
  if (i == count) return;
  std::uint64_t bits = 0;
  for (Index k = 0; 8 * k < count - i; ++k) bits |= static_cast<std::uint64_t>(from[i / 8 + k]) << (8 * k);
  put(i, bits & ((std::uint64_t{1} << (count - i)) - 1));
}

}  // namespace
}  // namespace xbn::kernels
