#include "xbn/types.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "every_isa.hpp"
#include "guarded_memory.hpp"
#include "refusal.hpp"
#include "threads.hpp"

namespace xbn::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr DataType kTypes[] = {DataType::f32, DataType::f64, DataType::bf16, DataType::f16, DataType::s8, DataType::u8};

/// A 16-bit format by its field widths, and every number of it in ascending order: what conversions are searched in.
struct Format {
  DataType type;
  int fraction_bits;
  int bias;

  std::uint16_t infinity() const {
    return static_cast<std::uint16_t>(((1U << (15 - fraction_bits)) - 1U) << fraction_bits);
  }

  /// Of finite non-negative bits; of those of infinity, the power of two that would be there.
  double value(std::uint16_t bits) const {
    const int exponent = bits >> fraction_bits;
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const int implicit = exponent == 0 ? 0 : 1 << fraction_bits;
    return std::ldexp(implicit + fraction, (exponent == 0 ? 1 : exponent) - bias - fraction_bits);
  }

  /// By bisection, and comparison with the neighbours' mean.
  std::uint16_t nearest(float number) const {
    const auto sign = static_cast<std::uint16_t>(std::signbit(number) ? 0x8000U : 0U);
    const double magnitude = std::fabs(static_cast<double>(number));
    std::uint16_t low = 0;
    std::uint16_t high = infinity();
    if (magnitude >= value(high)) return static_cast<std::uint16_t>(sign | high);
    while (high - low > 1) {
      const auto middle = static_cast<std::uint16_t>((low + high) / 2);
      (value(middle) <= magnitude ? low : high) = middle;
    }
    const double mean = (value(low) + value(high)) / 2;
    const bool up = magnitude > mean || (magnitude == mean && low % 2 == 1);
    return static_cast<std::uint16_t>(sign | (up ? high : low));
  }

  /// NaN stays one: quiet, with its sign and the upper bits of its payload.
  std::uint16_t stored(float number) const {
    if (!std::isnan(number)) return nearest(number);
    const auto bits = std::bit_cast<std::uint32_t>(number);
    const std::uint32_t payload = (bits & 0x7fffffU) >> (23 - fraction_bits) | 1U << (fraction_bits - 1);
    return static_cast<std::uint16_t>(bits >> 31U << 15U | infinity() | payload);
  }

  float loaded(std::uint16_t bits) const {
    const auto magnitude = static_cast<std::uint16_t>(bits & 0x7fffU);
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
    if (magnitude < infinity()) {
      return std::bit_cast<float>(std::bit_cast<std::uint32_t>(static_cast<float>(value(magnitude))) | sign);
    }
    // float16's hardware quiets NaN, bfloat16 is but the upper half.
    const std::uint32_t quiet = magnitude > infinity() && type == DataType::f16 ? 0x400000U : 0U;
    return std::bit_cast<float>(sign | 0x7f800000U | quiet |
                                static_cast<std::uint32_t>(magnitude - infinity()) << (23 - fraction_bits));
  }
};

constexpr Format kFormats[] = {{DataType::bf16, 7, 127}, {DataType::f16, 10, 15}};

/// Every exponent and sign with the significands at which rounding turns, and others.
std::vector<float> edge_floats() {
  std::vector<float> floats;
  for (std::uint32_t exponent = 0; exponent < 512; ++exponent) {
    for (int bit = 0; bit < 24; ++bit) {
      for (const std::uint32_t around : {0U, 1U, 0x7fffffU}) {
        for (const std::uint32_t odd : {0U, 0x2000U, 0x10000U, 0x7e0000U}) {
          const std::uint32_t fraction = ((bit < 23 ? 1U << bit : 0U) + odd + around) & 0x7fffffU;
          floats.push_back(std::bit_cast<float>(exponent << 23U | fraction));
        }
      }
    }
  }
  for (std::uint64_t bits = 0; bits < 1ULL << 32U; bits += 10007) {
    floats.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  return floats;
}

template <typename To, typename From>
std::vector<To> converted(const std::vector<From>& from, DataType from_type, DataType to_type) {
  std::vector<To> to(from.size());
  convert(from.data(), from_type, to.data(), to_type, static_cast<std::int64_t>(from.size()));
  return to;
}

template <typename T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

int saturated(double number, int least, int greatest) {
  if (std::isnan(number)) return 0;
  if (number <= least) return least;
  if (number >= greatest) return greatest;
  const double below = std::floor(number);
  const double rest = number - below;
  const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(below, 2) != 0);
  return static_cast<int>(below) + (up ? 1 : 0);
}

class TypesTest : public EveryIsa {
 protected:
  /// Denormals kept, and flushed: conversions must not notice.
  template <typename Check>
  static void in_both_modes(Check check) {
    check();
    SCOPED_TRACE("flushing");
    const FlushToZero mode;
    check();
  }
};

TEST_P(TypesTest, SixteenBitsAreStoredToNearest) {
  const std::vector<float> floats = edge_floats();
  for (const Format& format : kFormats) {
    SCOPED_TRACE(name(format.type));
    std::vector<std::uint16_t> expected;
    for (const float number : floats) expected.push_back(format.stored(number));
    in_both_modes([&] {
      const auto stored = converted<std::uint16_t>(floats, DataType::f32, format.type);
      for (std::size_t i = 0; i < floats.size(); ++i) {
        ASSERT_EQ(stored[i], expected[i]) << std::hex << std::bit_cast<std::uint32_t>(floats[i]);
      }
    });
  }
}

TEST_P(TypesTest, SixteenBitsAreLoadedExactly) {
  std::vector<std::uint16_t> all;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) all.push_back(static_cast<std::uint16_t>(bits));
  for (const Format& format : kFormats) {
    SCOPED_TRACE(name(format.type));
    std::vector<float> expected;
    for (const std::uint16_t bits : all) expected.push_back(format.loaded(bits));
    in_both_modes([&] {
      const auto loaded = converted<float>(all, format.type, DataType::f32);
      for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_TRUE(same_bits(loaded[i], expected[i])) << std::hex << all[i];
      }
      const auto doubles = converted<double>(all, format.type, DataType::f64);
      const auto back = converted<std::uint16_t>(doubles, DataType::f64, format.type);
      for (std::size_t i = 0; i < all.size(); ++i) {
        // Of float's subnormal numbers the conversion to double is the processor's.
        if (format.type == DataType::bf16 && (all[i] & 0x7f80U) == 0) continue;
        if (std::isnan(expected[i])) continue;
        ASSERT_EQ(back[i], all[i]);
      }
    });
  }
}

TEST(DataTypeTest, ScalarsAreStoredAndLoadedLikeArrays) {
  for (const float number : edge_floats()) {
    ASSERT_EQ(bfloat16(number).bits, kFormats[0].stored(number)) << number;
    ASSERT_EQ(float16(number).bits, kFormats[1].stored(number)) << number;
  }
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    bfloat16 brain;
    float16 half;
    brain.bits = half.bits = static_cast<std::uint16_t>(bits);
    ASSERT_TRUE(same_bits(static_cast<float>(brain), kFormats[0].loaded(brain.bits))) << bits;
    ASSERT_TRUE(same_bits(static_cast<float>(half), kFormats[1].loaded(half.bits))) << bits;
  }
}

TEST_P(TypesTest, IntegersAreRoundedAndSaturated) {
  std::vector<float> floats = edge_floats();
  for (int quarter = -1200; quarter <= 1200; ++quarter) {
    const float number = static_cast<float>(quarter) / 4;
    floats.insert(floats.end(), {number, std::nextafter(number, kInfinity), std::nextafter(number, -kInfinity)});
  }
  floats.insert(floats.end(), {kNaN, -kNaN, kInfinity, -kInfinity, 0x1p31F, -0x1p31F, 0x1p32F, 0x1p63F});
  in_both_modes([&] {
    const auto stored_signed = converted<std::int8_t>(floats, DataType::f32, DataType::s8);
    const auto stored_unsigned = converted<std::uint8_t>(floats, DataType::f32, DataType::u8);
    for (std::size_t i = 0; i < floats.size(); ++i) {
      ASSERT_EQ(stored_signed[i], saturated(floats[i], -128, 127)) << floats[i];
      ASSERT_EQ(stored_unsigned[i], saturated(floats[i], 0, 255)) << floats[i];
    }
  });
}

TEST_P(TypesTest, IntegersAreLoadedExactly) {
  std::vector<std::uint8_t> all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  const auto from_unsigned = converted<float>(all, DataType::u8, DataType::f32);
  const auto from_signed = converted<float>(all, DataType::s8, DataType::f32);
  const auto doubles = converted<double>(all, DataType::s8, DataType::f64);
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(from_unsigned[static_cast<std::size_t>(i)], static_cast<float>(i));
    EXPECT_EQ(from_signed[static_cast<std::size_t>(i)], static_cast<float>(i < 128 ? i : i - 256));
    EXPECT_EQ(doubles[static_cast<std::size_t>(i)], i < 128 ? i : i - 256);
  }
}

TEST_P(TypesTest, DoubleIsRoundedToFloatFirst) {
  const std::vector<double> doubles = {1.0,    1 + 0x1p-24, 1 + 0x1p-23 + 0x1p-24, 1e300,
                                       -1e300, 0x1p-149,    1 + 0x1p-9 + 0x1p-40};
  const auto floats = converted<float>(doubles, DataType::f64, DataType::f32);
  const auto brains = converted<std::uint16_t>(doubles, DataType::f64, DataType::bf16);
  for (std::size_t i = 0; i < doubles.size(); ++i) {
    EXPECT_EQ(floats[i], static_cast<float>(doubles[i]));
    EXPECT_EQ(brains[i], bfloat16(static_cast<float>(doubles[i])).bits);
  }
}

// From every type to every type, of every length to 70: neither the page behind is touched nor an element too many.
TEST_P(TypesTest, OnlyTheElementsAreTouched) {
  for (const DataType from_type : kTypes) {
    for (const DataType to_type : kTypes) {
      for (std::size_t count = 0; count <= 70; ++count) {
        SCOPED_TRACE(std::string(name(from_type)) + " to " + std::string(name(to_type)) + ", " + std::to_string(count));
        const GuardedMemory source(256);
        const GuardedMemory target(256);
        const std::size_t from_bytes = count * size_of(from_type);
        const std::size_t to_bytes = count * size_of(to_type);
        auto* const from = reinterpret_cast<unsigned char*>(source.data() + source.size()) - from_bytes;
        auto* const to = reinterpret_cast<unsigned char*>(target.data() + target.size()) - to_bytes;
        const std::vector<float> ascending = [&] {
          std::vector<float> numbers(count);
          for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i);
          return numbers;
        }();
        convert(ascending.data(), DataType::f32, from, from_type, static_cast<std::int64_t>(count));
        convert(from, from_type, to, to_type, static_cast<std::int64_t>(count));
        std::vector<float> back(count);
        convert(to, to_type, back.data(), DataType::f32, static_cast<std::int64_t>(count));
        ASSERT_EQ(back, ascending);
        const auto touched = static_cast<std::ptrdiff_t>((to_bytes + sizeof(float) - 1) / sizeof(float));
        for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(target.size()) - touched; ++i) {
          ASSERT_TRUE(target.is_canary(i)) << i;
        }
        ASSERT_TRUE(target.front_is_intact());
      }
    }
  }
}

TEST(DataTypeTest, EachHasANameAndASize) {
  const char* const names[] = {"f32", "f64", "bf16", "f16", "s8", "u8"};
  const std::size_t sizes[] = {4, 8, 2, 2, 1, 1};
  for (std::size_t i = 0; i < std::size(kTypes); ++i) {
    EXPECT_EQ(name(kTypes[i]), names[i]);
    EXPECT_EQ(size_of(kTypes[i]), sizes[i]);
  }
}

TEST(DataTypeTest, WhatIsNoTypeIsRefused) {
  constexpr auto no_type = static_cast<DataType>(6);
  const std::string must = " must be one of f32, f64, bf16, f16, s8, u8, was 6";
  float number = 0;
  EXPECT_EQ(message_of([] { name(no_type); }), "type" + must);
  EXPECT_EQ(message_of([] { size_of(no_type); }), "type" + must);
  EXPECT_EQ(message_of([&] { convert(&number, no_type, &number, DataType::f32, 1); }), "from_type" + must);
  EXPECT_EQ(message_of([&] { convert(&number, DataType::f32, &number, no_type, 1); }), "to_type" + must);
}

TEST(DataTypeTest, BadArraysAreRefused) {
  float number = 0;
  EXPECT_EQ(message_of([&] { convert(&number, DataType::f32, &number, DataType::f32, -1); }),
            "count must be at least 0, was -1");
  EXPECT_EQ(message_of([&] { convert(nullptr, DataType::f32, &number, DataType::f32, 1); }),
            "from must not be null, was null");
  EXPECT_EQ(message_of([&] { convert(&number, DataType::f32, nullptr, DataType::f32, 1); }),
            "to must not be null, was null");
  convert(nullptr, DataType::f32, nullptr, DataType::f32, 0);
}

INSTANTIATE_TEST_SUITE_P(Isa, TypesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
