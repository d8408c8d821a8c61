// Bits of a mask by way of a run without gaps, in memory that has not a byte more than the mask.

#include "kernels/bit_runs.hpp"

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <vector>

namespace xbn::test {
namespace {

using kernels::BitsOfVectors;
using kernels::Index;

constexpr std::uint8_t kUnwritten = 0xa5;

// Planes of `length` bits, `pitch` bytes apart.
struct Mask {
  Index length;
  Index planes;
  Index pitch;
  Index bytes = (length + 7) / 8;
  Index size = pitch * (planes - 1) + bytes;
  std::unique_ptr<std::uint8_t[]> memory{new std::uint8_t[static_cast<std::size_t>(size)]};

  Index elements() const { return length * planes; }
  bool bit(Index element) const {
    const Index i = element % length;
    return (memory[static_cast<std::size_t>(element / length * pitch + i / 8)] >> (i % 8) & 1) != 0;
  }
};

template <class Byte>
Byte& byte_of(BitsOfVectors<Byte>& bits, Index head, Index element) {
  return element < head ? bits.of_head()[element / 8] : bits.of_vectors()[(element - head) / 8];
}

Index place_in_byte(Index head, Index element) { return (element < head ? element : element - head) % 8; }

// Calls check(mask, head, random numbers) for masks of any shape; in one of three, planes have gaps between them.
template <class Check>
void for_each_mask(const Check& check) {
  std::mt19937 random(7);
  const auto below = [&](Index limit) { return static_cast<Index>(random() % static_cast<unsigned>(limit)); };
  for (int turn = 0; turn < 5000; ++turn) {
    const Index length = 1 + below(turn % 2 == 0 ? 700 : 60);
    const Index planes = std::min(1 + below(40), kernels::kMostBits / length);
    const Mask mask{length, planes, (length + 7) / 8 + (turn % 3 == 0 ? below(5) : 0)};
    const Index head = std::min(below(16), mask.elements());
    SCOPED_TRACE(testing::Message() << planes << " planes of " << length << ", " << mask.pitch << " apart, from "
                                    << head);
    check(mask, head, random);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(BitsOfVectorsTest, OfAMaskThatIsRead) {
  for_each_mask([](const Mask& mask, Index head, std::mt19937& random) {
    for (Index i = 0; i < mask.size; ++i)
      mask.memory[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(random());
    const auto bits = std::make_unique<BitsOfVectors<const std::uint8_t>>();
    bits->begin(mask.memory.get(), mask.pitch, mask.planes, mask.length, head);
    for (Index e = 0; e < mask.elements(); ++e) {
      ASSERT_EQ((byte_of(*bits, head, e) >> place_in_byte(head, e) & 1) != 0, mask.bit(e)) << e;
    }
  });
}

TEST(BitsOfVectorsTest, OfAMaskThatIsWritten) {
  for_each_mask([](const Mask& mask, Index head, std::mt19937& random) {
    std::fill_n(mask.memory.get(), mask.size, kUnwritten);
    const auto bits = std::make_unique<BitsOfVectors<std::uint8_t>>();
    bits->begin(mask.memory.get(), mask.pitch, mask.planes, mask.length, head);
    std::vector<bool> wanted(static_cast<std::size_t>(mask.elements()));
    for (Index e = 0; e < mask.elements(); ++e) {
      const unsigned bit = random() & 1U;
      const auto place = static_cast<unsigned>(place_in_byte(head, e));
      std::uint8_t& byte = byte_of(*bits, head, e);
      byte = static_cast<std::uint8_t>((byte & ~(1U << place)) | bit << place);
      wanted[static_cast<std::size_t>(e)] = bit != 0;
    }
    bits->end();
    for (Index e = 0; e < mask.elements(); ++e) ASSERT_EQ(mask.bit(e), wanted[static_cast<std::size_t>(e)]) << e;
    for (Index p = 0; p < mask.planes; ++p) {
      const std::uint8_t* const plane = mask.memory.get() + p * mask.pitch;
      for (Index i = mask.length; i < 8 * mask.bytes; ++i) ASSERT_EQ(plane[i / 8] >> (i % 8) & 1, 0) << "filled up";
      if (p + 1 == mask.planes) break;
      for (Index i = mask.bytes; i < mask.pitch; ++i) ASSERT_EQ(plane[i], kUnwritten) << "between planes";
    }
  });
}

}  // namespace
}  // namespace xbn::test
