#include "typed_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace xbn::test {
namespace {

/// Digits of the significand, exponents of the least normal and of the greatest number.
struct Format {
  int digits;
  int least;
  int greatest;
};

Format format_of(DataType type) { return type == DataType::bf16 ? Format{8, -126, 127} : Format{11, -14, 15}; }

/// Calls visit(T{}), T being the type in memory.
template <class Visit>
void with_type(DataType type, Visit visit) {
  switch (type) {
    case DataType::f32:
      return visit(float{});
    case DataType::f64:
      return visit(double{});
    case DataType::bf16:
      return visit(bfloat16{});
    case DataType::f16:
      return visit(float16{});
    case DataType::s8:
      return visit(std::int8_t{});
    case DataType::u8:
      return visit(std::uint8_t{});
  }
}

template <class T>
double decoded(const unsigned char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>) {
    return static_cast<float>(value);
  } else {
    return static_cast<double>(value);
  }
}

double decoded(DataType type, const unsigned char* from) {
  double value = 0;
  with_type(type, [&]<class T>(T) { value = decoded<T>(from); });
  return value;
}

template <class T>
void encode(double value, unsigned char* to) {
  if constexpr (std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>) {
    const T stored(static_cast<float>(value));
    std::memcpy(to, &stored, sizeof stored);
  } else {
    const T stored = static_cast<T>(value);
    std::memcpy(to, &stored, sizeof stored);
  }
}

std::int64_t row_of(Layout layout) { return channel_block(layout); }

std::int64_t padded_channels(Layout layout, const Shape& shape) {
  return (shape.channels + row_of(layout) - 1) / row_of(layout) * row_of(layout);
}

std::size_t extent_of(Layout layout, const Shape& shape, const Strides& strides) {
  if (shape.elements() == 0) return 0;
  const std::int64_t last_channel = padded_channels(layout, shape) - 1;
  return static_cast<std::size_t>(offset_of(layout, strides, shape.batch - 1, last_channel, shape.spatial - 1) + 1);
}

/// Calls visit(offset in memory, n, c, s) for the channels from `first` to below `last`.
template <class Visit>
void for_each_place(Layout layout, const Shape& shape, const Strides& strides, std::int64_t first, std::int64_t last,
                    Visit visit) {
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    for (std::int64_t c = first; c < last; ++c) {
      const std::int64_t start = offset_of(layout, strides, n, c, 0);
      const std::int64_t step = offset_of(layout, strides, n, c, 1) - start;
      for (std::int64_t s = 0; s < shape.spatial; ++s) {
        visit(static_cast<std::size_t>(start + s * step),
              static_cast<std::size_t>((n * shape.channels + c) * shape.spatial + s));
      }
    }
  }
}

}  // namespace

long double rounded_to(DataType type, long double value) {
  if (type == DataType::s8 || type == DataType::u8) {
    if (std::isnan(value)) return 0;
    const long double low = type == DataType::s8 ? -128 : 0;
    return std::clamp(std::nearbyint(value), low, low + 255);
  }
  if (type == DataType::f32) return static_cast<float>(value);
  if (type == DataType::f64) return static_cast<double>(value);
  if (value == 0 || !std::isfinite(value)) return value;
  const Format format = format_of(type);
  const int exponent = std::max(std::ilogb(value), format.least);
  const int spacing = exponent - (format.digits - 1);
  const long double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -spacing)), spacing);
  if (std::fabs(rounded) < std::ldexp(1.0L, format.greatest + 1)) return rounded;
  return std::copysign(std::numeric_limits<long double>::infinity(), value);
}

Doubles held_by(DataType type, const Values& values) {
  Doubles held(values.size());
  std::transform(values.begin(), values.end(), held.begin(),
                 [&](float value) { return static_cast<double>(rounded_to(type, value)); });
  return held;
}

TypedTensor::TypedTensor(DataType type, Layout layout, const Shape& shape, Pitch pitch)
    : type_(type),
      layout_(layout),
      shape_(shape),
      strides_(strides_of(layout, shape, pitch)),
      elements_(extent_of(layout, shape, strides_)),
      memory_((bytes() + sizeof(float) - 1) / sizeof(float)) {
  const bool integers = type == DataType::s8 || type == DataType::u8;
  const double outside = integers ? (type == DataType::s8 ? -1 : 255) : std::numeric_limits<double>::quiet_NaN();
  with_type(type_, [&]<class T>(T) {
    for (std::size_t i = 0; i < elements_; ++i) encode<T>(outside, data() + i * sizeof(T));
  });
  before_.assign(data(), data() + bytes());
}

TypedTensor::TypedTensor(DataType type, Layout layout, const Shape& shape, Pitch pitch, const Doubles& values)
    : TypedTensor(type, layout, shape, pitch) {
  unsigned char* const first = data();
  with_type(type_, [&]<class T>(T) {
    for_each_place(layout_, shape_, strides_, 0, shape_.channels,
                   [&](std::size_t offset, std::size_t i) { encode<T>(values.at(i), first + offset * sizeof(T)); });
  });
}

unsigned char* TypedTensor::data() const {
  return reinterpret_cast<unsigned char*>(memory_.data() + memory_.size()) - bytes();
}

Doubles TypedTensor::values() const {
  Doubles values(static_cast<std::size_t>(shape_.elements()));
  const unsigned char* const first = data();
  with_type(type_, [&]<class T>(T) {
    for_each_place(layout_, shape_, strides_, 0, shape_.channels,
                   [&](std::size_t offset, std::size_t i) { values[i] = decoded<T>(first + offset * sizeof(T)); });
  });
  return values;
}

testing::AssertionResult TypedTensor::surroundings_are_intact(bool owns_padding) const {
  enum : char { outside, element, pad };
  std::vector<char> kind(elements_, outside);
  for_each_place(layout_, shape_, strides_, 0, shape_.channels,
                 [&](std::size_t offset, std::size_t) { kind[offset] = element; });
  for_each_place(layout_, shape_, strides_, shape_.channels, padded_channels(layout_, shape_),
                 [&](std::size_t offset, std::size_t) { kind[offset] = pad; });
  const std::size_t size = size_of(type_);
  const std::vector<unsigned char> zero(size);
  for (std::size_t i = 0; i < elements_; ++i) {
    if (kind[i] == element) continue;
    const bool zeroed = kind[i] == pad && owns_padding;
    const unsigned char* const expected = zeroed ? zero.data() : before_.data() + i * size;
    if (std::memcmp(data() + i * size, expected, size) == 0) continue;
    return testing::AssertionFailure() << (kind[i] == pad ? "pad lane" : "memory between elements") << " at offset "
                                       << i << " is " << decoded(type_, data() + i * size) << ", must be "
                                       << (zeroed ? "zero" : "untouched");
  }
  if (!memory_.front_is_intact()) return testing::AssertionFailure() << "memory before the first element was written";
  return testing::AssertionSuccess();
}

}  // namespace xbn::test
