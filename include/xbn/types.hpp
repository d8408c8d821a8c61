#pragma once

/// The types of elements in memory.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace xbn {

enum class DataType {
  f32,   ///< float
  f64,   ///< double
  bf16,  ///< xbn::bfloat16: the upper half of a float
  f16,   ///< xbn::float16: IEEE 754 binary16
  s8,    ///< std::int8_t
  u8,    ///< std::uint8_t
};

/// The enumerator's own name, such as "bf16".
std::string_view name(DataType type);

/// Bytes of one element.
std::size_t size_of(DataType type);

/// Storage of one bfloat16. Conversion from float rounds to nearest, ties to even; a NaN stays one; subnormal numbers
/// are kept.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  explicit bfloat16(float value);
  explicit operator float() const;
};

/// Storage of one IEEE 754 half-precision number. Conversion from float rounds to nearest, ties to even, beyond 65504 to
/// infinity; a NaN stays one; subnormal numbers are kept.
struct float16 {
  std::uint16_t bits = 0;

  float16() = default;
  explicit float16(float value);
  explicit operator float() const;
};

}  // namespace xbn
