#pragma once

// Tensors in memory, in any layout and with any pitch, that notice what is written where nothing should be.

#include <gtest/gtest.h>
#include <vector>

#include "guarded_memory.hpp"
#include "reference.hpp"
#include "xbn/tensor.hpp"

namespace xbn::test {

/// How far apart the neighbours of a tensor lie.
enum class Pitch {
  dense,
  padded,  ///< a gap after each row, plane or block, and after each image
  slice,   ///< some of the channels of a wider dense tensor
};

const std::vector<Pitch>& every_pitch();
const char* name(Pitch pitch);

/// Every layout that can hold the shape: nc only where there is one position.
std::vector<Layout> layouts_of(const Shape& shape);

/// Spelled out, from the definition of the layouts.
Strides strides_of(Layout layout, const Shape& shape, Pitch pitch);

/// Where element (n, c, s) lies, from the definition of the layouts.
std::int64_t offset_of(Layout layout, const Strides& strides, std::int64_t n, std::int64_t c, std::int64_t s);

/// All memory that is no element of the tensor, pad lanes included, holds NaN canaries. It ends with the tensor's last
/// element or pad lane, at an inaccessible page.
class TensorBuffer {
 public:
  TensorBuffer(Layout layout, const Shape& shape, Pitch pitch);
  TensorBuffer(Layout layout, const Shape& shape, Pitch pitch, const Values& values);

  Input input() const { return {memory_.data(), strides_}; }
  Output output(bool owns_padding = true) { return {memory_.data(), strides_, owns_padding}; }

  /// In the order batch, channel, position.
  void fill(const Values& values);
  Values values() const;

  /// Nothing but elements was written, and pad lanes, which are zero where the writer owns them and else untouched.
  testing::AssertionResult surroundings_are_intact(bool owns_padding) const;

 private:
  template <typename Visit>
  void for_each_element(Visit visit) const;

  Layout layout_;
  Shape shape_;
  Strides strides_;
  GuardedMemory memory_;
};

}  // namespace xbn::test
