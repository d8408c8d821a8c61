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

/// Storage of one IEEE 754 half-precision number. Conversion from float rounds to nearest, ties to even, beyond 65504
/// to infinity; a NaN stays one; subnormal numbers are kept.
struct float16 {
  std::uint16_t bits = 0;

  float16() = default;
  explicit float16(float value);
  explicit operator float() const;
};

/// The enumerator of a type in memory.
template <class T>
inline constexpr DataType data_type_of = T::is_not_a_type_of_tensor_elements;
template <>
inline constexpr DataType data_type_of<float> = DataType::f32;
template <>
inline constexpr DataType data_type_of<double> = DataType::f64;
template <>
inline constexpr DataType data_type_of<bfloat16> = DataType::bf16;
template <>
inline constexpr DataType data_type_of<float16> = DataType::f16;
template <>
inline constexpr DataType data_type_of<std::int8_t> = DataType::s8;
template <>
inline constexpr DataType data_type_of<std::uint8_t> = DataType::u8;

/// Converts `count` elements, as the operations do when they read and write: exact where `to_type` holds the value;
/// else to nearest, ties to even, in double's case first to float. To s8 and u8 also saturated, NaN becoming 0. The
/// arrays must not overlap, unless they are one and their types equally wide.
void convert(const void* from, DataType from_type, void* to, DataType to_type, std::int64_t count);

}  // namespace xbn
