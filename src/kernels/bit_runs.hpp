#pragma once

// Bits of consecutive elements between runs that each start on a byte, as masks have them, and one run without gaps.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/kernel_table.hpp"

namespace xbn::kernels {
namespace {

// Bytes that a run without gaps has behind its last bit: it is read and written eight bytes at a time.
inline constexpr Index kBitSlack = 8;

inline std::uint64_t load_word(const std::uint8_t* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

inline void store_word(std::uint64_t word, std::uint8_t* to) { std::memcpy(to, &word, sizeof word); }

// Whether up to eight bytes behind a run of its own may be read, or spoilt.
enum class Behind { untouched, free };

// `count` bits from bit `first` of a run without gaps to a run of their own; its last byte is filled up with zeros.
inline void take_bits(const std::uint8_t* from, Index first, std::uint8_t* to, Index count, Behind behind) {
  const std::uint8_t* const at = from + first / 8;
  const auto shift = static_cast<unsigned>(first % 8);
  const auto word = [&](Index i) {
    const std::uint64_t high = at[i / 8 + 8];
    return load_word(at + i / 8) >> shift | (high << 1U) << (63 - shift);
  };
  Index i = 0;
  for (; i + 64 <= count; i += 64) store_word(word(i), to + i / 8);
  if (i == count) return;
  std::uint64_t bits = word(i) & ((std::uint64_t{1} << (count - i)) - 1);
  if (behind == Behind::free) return store_word(bits, to + i / 8);
  for (; i < count; i += 8, bits >>= 8U) to[i / 8] = static_cast<std::uint8_t>(bits);
}

// The other way; in ascending order, as bits behind the last one become zero.
inline void put_bits(const std::uint8_t* from, std::uint8_t* to, Index first, Index count, Behind behind) {
  std::uint8_t* const at = to + first / 8;
  const auto shift = static_cast<unsigned>(first % 8);
  std::uint64_t carry = *at & ((1U << shift) - 1U);
  const auto put = [&](Index i, std::uint64_t bits) {
    store_word(bits << shift | carry, at + i / 8);
    carry = (bits >> 1U) >> (63 - shift);
  };
  Index i = 0;
  for (; i + 64 <= count; i += 64) put(i, load_word(from + i / 8));
  if (i < count) {
    std::uint64_t bits = behind == Behind::free ? load_word(from + i / 8) : 0;
    for (Index k = 0; behind == Behind::untouched && 8 * k < count - i; ++k)
      bits |= static_cast<std::uint64_t>(from[i / 8 + k]) << (8 * k);
    put(i, bits & ((std::uint64_t{1} << (count - i)) - 1));
    i += 64;
  }
  at[i / 8] = static_cast<std::uint8_t>(carry);
}

// Runs of so few bits are taken a word at a time.
inline constexpr Index kBitsOfWord = 56;

// Likewise of `runs` runs of `count` bits, at most kBitsOfWord, that follow each other on both sides, and are free
// behind.
inline void take_runs(const std::uint8_t* from, Index first, std::uint8_t* to, Index count, Index runs) {
  const std::uint64_t kept = (std::uint64_t{1} << count) - 1;
  const Index bytes = (count + 7) / 8;
  Index run = 0;
  if (bytes == 1) {
    const Index together = kBitsOfWord / count;
    for (; run + together <= runs; run += together, first += together * count) {
      std::uint64_t bits = load_word(from + first / 8) >> (first % 8);
      for (Index k = 0; k < together; ++k, bits >>= count) to[run + k] = static_cast<std::uint8_t>(bits & kept);
    }
  }
  for (; run < runs; ++run, first += count) {
    store_word(load_word(from + first / 8) >> (first % 8) & kept, to + run * bytes);
  }
}

// The other way.
inline void put_runs(const std::uint8_t* from, std::uint8_t* to, Index first, Index count, Index runs) {
  const std::uint64_t kept = (std::uint64_t{1} << count) - 1;
  const Index bytes = (count + 7) / 8;
  to += first / 8;
  Index shift = first % 8;
  std::uint64_t carry = *to & ((1U << shift) - 1U);
  for (Index run = 0; run < runs; ++run) {
    const std::uint64_t word = (load_word(from + run * bytes) & kept) << shift | carry;
    store_word(word, to);
    shift += count;
    to += shift / 8;
    carry = word >> (shift / 8 * 8);
    shift %= 8;
  }
  *to = static_cast<std::uint8_t>(carry);
}

// Elements that BitsOfVectors has room for.
inline constexpr Index kMostBits = 32 * 1024;

// A mask's bits of planes that lie side by side, or of rows, as one run of which vectors begin at some element `head`:
// the bits of every vector are whole bytes then. Bytes of a mask that is read are constant.
template <class Byte>
class BitsOfVectors {
 public:
  // `head` is less than 16; the bits of the next plane lie `pitch` bytes on.
  [[gnu::noinline]] void begin(Byte* mask, Index pitch, Index planes, Index length, Index head) {
    mask_ = mask;
    pitch_ = pitch;
    planes_ = planes;
    length_ = length;
    head_ = head;
    bits_[0] = bits_[1] = 0;
    if constexpr (std::is_const_v<Byte>) {
      for_each_plane(
          [&](Index p, Behind behind) { put_bits(mask_ + p * pitch_, bits_, first_bit(p), length_, behind); },
          [&](Index count) { put_runs(mask_, bits_, first_bit(0), length_, count); });
      set_head(head_bits_, (bits_[0] | bits_[1] << 8) >> (kLanes - head_));
    }
  }

  // Of the elements before `head`, and of those from there on.
  Byte* of_head() { return head_bits_; }
  Byte* of_vectors() { return bits_ + kLanes / 8; }

  // Takes them to the mask, where it is written.
  [[gnu::noinline]] void end() {
    if constexpr (!std::is_const_v<Byte>) {
      if (head_ > 0) set_head(bits_, (head_bits_[0] | head_bits_[1] << 8) << (kLanes - head_));
      for_each_plane(
          [&](Index p, Behind behind) { take_bits(bits_, first_bit(p), mask_ + p * pitch_, length_, behind); },
          [&](Index count) { take_runs(bits_, first_bit(0), mask_, length_, count); });
    }
  }

 private:
  Index first_bit(Index plane) const { return kLanes - head_ + plane * length_; }

  // Calls short_planes(how many), and plane(p, what may be done behind it) for those that are left.
  template <class Plane, class ShortPlanes>
  void for_each_plane(const Plane& plane, const ShortPlanes& short_planes) const {
    const Index bytes = (length_ + 7) / 8;
    const Index free = pitch_ == bytes ? planes_ - (8 + bytes - 1) / bytes : 0;  // eight bytes of others are behind
    Index p = 0;
    if (length_ <= kBitsOfWord && free > 0) {
      short_planes(free);
      p = free;
    }
    for (; p < planes_; ++p) plane(p, p < free ? Behind::free : Behind::untouched);
  }

  static void set_head(std::uint8_t* to, int bits) {
    to[0] = static_cast<std::uint8_t>(bits);
    to[1] = static_cast<std::uint8_t>(bits >> 8);
  }

  Byte* mask_;
  Index pitch_;
  Index planes_;
  Index length_;
  Index head_;
  std::uint8_t head_bits_[kLanes / 8] = {};
  std::uint8_t bits_[kMostBits / 8 + 2 * kLanes / 8 + kBitSlack];
};

}  // namespace
}  // namespace xbn::kernels
