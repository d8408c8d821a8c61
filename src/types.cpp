#include "xbn/types.hpp"

#include <bit>

#include "errors.hpp"
#include "isa.hpp"
#include "kernels/kernel_table.hpp"

namespace xbn {
namespace {

using internal::reject;
using internal::to_text;

[[noreturn]] void reject_type(const char* argument, DataType type) {
  reject(argument, "be one of f32, f64, bf16, f16, s8, u8", to_text(static_cast<std::int64_t>(type)));
}

void require_type(const char* argument, DataType type) {
  if (type < DataType::f32 || type > DataType::u8) reject_type(argument, type);
}

constexpr std::uint32_t sign_bit = 0x80000000;
constexpr std::uint32_t infinity_bits = 0x7f800000;

// Rounds off the last `count` bits, to nearest, ties to even.
constexpr std::uint32_t shifted_and_rounded(std::uint32_t bits, unsigned count) {
  const std::uint32_t quotient = bits >> count;
  return (bits + (1U << (count - 1U)) - 1U + (quotient & 1U)) >> count;
}

std::uint16_t to_bfloat16(std::uint32_t bits) {
  if ((bits & ~sign_bit) > infinity_bits) return static_cast<std::uint16_t>(bits >> 16U | 0x0040U);
  return static_cast<std::uint16_t>(shifted_and_rounded(bits, 16));
}

std::uint16_t to_float16(std::uint32_t bits) {
  constexpr std::uint32_t least_normal = 0x38800000;  // 2^-14
  constexpr std::uint32_t beyond = 0x47800000;        // 2^16
  constexpr std::uint32_t rebias = 112U << 23U;
  const std::uint32_t magnitude = bits & ~sign_bit;
  std::uint32_t half = 0;
  if (magnitude > infinity_bits) {
    half = 0x7e00U | (magnitude >> 13U & 0x3ffU);
  } else if (magnitude >= beyond) {
    half = 0x7c00;
  } else if (magnitude >= least_normal) {
    half = shifted_and_rounded(magnitude - rebias, 13);
  } else if (magnitude >= 0x33000000) {  // 2^-25, half of the least subnormal
    const std::uint32_t significand = (magnitude & 0x7fffffU) | 0x800000U;
    half = shifted_and_rounded(significand, 126U - (magnitude >> 23U));
  }
  return static_cast<std::uint16_t>(half | (bits & sign_bit) >> 16U);
}

std::uint32_t from_float16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = half >> 10U & 0x1fU;
  std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 31) return sign | infinity_bits | fraction << 13U | (fraction != 0 ? 0x400000U : 0U);
  if (exponent != 0) return sign | (exponent + 112U) << 23U | fraction << 13U;
  if (fraction == 0) return sign;
  const auto shift = static_cast<std::uint32_t>(std::countl_zero(fraction)) - 21U;
  fraction = fraction << shift & 0x3ffU;
  return sign | (113U - shift) << 23U | fraction << 13U;
}

}  // namespace

std::string_view name(DataType type) {
  switch (type) {
    case DataType::f32:
      return "f32";
    case DataType::f64:
      return "f64";
    case DataType::bf16:
      return "bf16";
    case DataType::f16:
      return "f16";
    case DataType::s8:
      return "s8";
    case DataType::u8:
      return "u8";
  }
  reject_type("type", type);
}

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::f32:
      return sizeof(float);
    case DataType::f64:
      return sizeof(double);
    case DataType::bf16:
      return sizeof(bfloat16);
    case DataType::f16:
      return sizeof(float16);
    case DataType::s8:
      return sizeof(std::int8_t);
    case DataType::u8:
      return sizeof(std::uint8_t);
  }
  reject_type("type", type);
}

bfloat16::bfloat16(float value) : bits(to_bfloat16(std::bit_cast<std::uint32_t>(value))) {}

bfloat16::operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }

float16::float16(float value) : bits(to_float16(std::bit_cast<std::uint32_t>(value))) {}

float16::operator float() const { return std::bit_cast<float>(from_float16(bits)); }

void convert(const void* from, DataType from_type, void* to, DataType to_type, std::int64_t count) {
  require_type("from_type", from_type);
  require_type("to_type", to_type);
  if (count < 0) reject("count", "be at least 0", to_text(count));
  if (count > 0 && from == nullptr) reject("from", "not be null", "null");
  if (count > 0 && to == nullptr) reject("to", "not be null", "null");
  internal::kernel_table(current_isa()).convert(from_type, from, to_type, to, count);
}

}  // namespace xbn
