// The streams that the memory limit is measured with write all of every destination and nothing beside it.

#include "worker/stream_mix.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <new>
#include <vector>

namespace bench {
namespace {

constexpr std::byte kUnwritten{0xaa};
constexpr std::size_t kMargin = 64;

// Bytes that begin at a cache line, between margins.
class Lines {
 public:
  explicit Lines(std::size_t bytes) : bytes_(bytes), data_(new (kLine) std::byte[bytes + 2 * kMargin]) {
    std::memset(data_, static_cast<int>(kUnwritten), bytes + 2 * kMargin);
  }
  ~Lines() { ::operator delete[](data_, kLine); }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  std::byte* data() { return data_ + kMargin; }
  std::size_t written() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < bytes_ + 2 * kMargin; ++i) count += data_[i] != kUnwritten ? 1 : 0;
    return count;
  }
  bool margins_are_untouched() const {
    bool untouched = true;
    for (std::size_t i = 0; i < kMargin; ++i) {
      untouched = untouched && data_[i] == kUnwritten && data_[kMargin + bytes_ + i] == kUnwritten;
    }
    return untouched;
  }

 private:
  static constexpr std::align_val_t kLine{64};

  std::size_t bytes_;
  std::byte* data_;
};

void check_all(void (*stream)(const Mix&, std::int64_t, std::int64_t, int, bool)) {
  for (const std::int64_t elements : {std::int64_t{40}, mix_group, 9 * mix_group, 9 * mix_group + 72}) {
    for (const int places : {1, 4}) {
      for (const bool streaming : {false, true}) {
        const auto bytes = [&](int bits) { return static_cast<std::size_t>((elements * bits + 7) / 8); };
        const std::vector<std::byte> zeros(bytes(64));
        Lines wide(bytes(32)), narrow(bytes(16)), mask(bytes(1));
        const Mix mix{{{zeros.data(), 32}, {zeros.data(), 64}, {zeros.data(), 1}},
                      {{wide.data(), 32}, {narrow.data(), 16}, {mask.data(), 1}}};
        stream(mix, 0, elements, places, streaming);
        EXPECT_EQ(wide.written(), bytes(32)) << elements << " elements, " << places << " places";
        EXPECT_EQ(narrow.written(), bytes(16));
        EXPECT_EQ(mask.written(), bytes(1));
        EXPECT_TRUE(wide.margins_are_untouched() && narrow.margins_are_untouched() && mask.margins_are_untouched());
      }
    }
  }
}

TEST(StreamMixTest, Sse2) { check_all(stream_mix_sse2); }

TEST(StreamMixTest, Avx) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "the processor has no AVX";
  check_all(stream_mix_avx);
}

TEST(StreamMixTest, Avx512) {
  if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "the processor has no AVX-512";
  check_all(stream_mix_avx512);
}

TEST(StreamMixTest, TheWidestOfTheProcessor) { check_all(stream_mix); }

// Half of the elements are another call's.
TEST(StreamMixTest, BeginsAtAGroup) {
  const std::int64_t elements = 4 * mix_group;
  const std::vector<std::byte> zeros(static_cast<std::size_t>(4 * elements));
  Lines to(static_cast<std::size_t>(4 * elements));
  stream_mix({{{zeros.data(), 32}}, {{to.data(), 32}}}, 2 * mix_group, 2 * mix_group, 1, true);
  EXPECT_EQ(to.written(), static_cast<std::size_t>(2 * elements));
  EXPECT_EQ(to.data()[2 * elements - 1], kUnwritten);
}

}  // namespace
}  // namespace bench
