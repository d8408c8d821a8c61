#pragma once

// Tensors of any type in memory, that notice what is written where nothing should be.

#include <gtest/gtest.h>
#include <vector>

#include "guarded_memory.hpp"
#include "reference.hpp"
#include "tensor_buffer.hpp"
#include "xbn/tensor.hpp"

namespace xbn::test {

/// Nearest value of the type, ties to even, from the definition of the formats. To s8 and u8 saturated, NaN becoming 0.
long double rounded_to(DataType type, long double value);

/// Each rounded to float, then to the type: what a tensor holds of them.
Doubles held_by(DataType type, const Values& values);

/// Doubles hold the values of every type. All memory that is no element, pad lanes included, holds NaNs of the type
/// (-1 or 255 for integers). The tensor ends with its last element or pad lane, at an inaccessible page.
class TypedTensor {
 public:
  TypedTensor(DataType type, Layout layout, const Shape& shape, Pitch pitch = Pitch::dense);
  /// Values in the order batch, channel, position, which the type can hold.
  TypedTensor(DataType type, Layout layout, const Shape& shape, Pitch pitch, const Doubles& values);

  DataType type() const { return type_; }
  Input input() const { return {data(), type_, strides_}; }
  Output output(bool owns_padding = true) { return {data(), type_, strides_, owns_padding}; }

  Doubles values() const;

  /// Nothing but elements was written, and pad lanes, which are zero where the writer owns them and else untouched.
  testing::AssertionResult surroundings_are_intact(bool owns_padding) const;

 private:
  std::size_t bytes() const { return elements_ * size_of(type_); }
  unsigned char* data() const;

  DataType type_;
  Layout layout_;
  Shape shape_;
  Strides strides_;
  std::size_t elements_;
  GuardedMemory memory_;
  std::vector<unsigned char> before_;
};

}  // namespace xbn::test
