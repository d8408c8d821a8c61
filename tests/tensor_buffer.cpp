#include "tensor_buffer.hpp"

#include <algorithm>

namespace xbn::test {
namespace {

std::int64_t row_of(Layout layout) {
  switch (layout) {
    case Layout::nCx8c:
      return 8;
    case Layout::nCx16c:
      return 16;
    default:
      return 1;
  }
}

std::int64_t blocks_of(Layout layout, const Shape& shape) {
  return (shape.channels + row_of(layout) - 1) / row_of(layout);
}

/// One past the last element or pad lane.
std::int64_t extent_of(Layout layout, const Shape& shape, const Strides& strides) {
  if (shape.elements() == 0) return 0;
  const std::int64_t last_channel = blocks_of(layout, shape) * row_of(layout) - 1;
  return offset_of(layout, strides, shape.batch - 1, last_channel, shape.spatial - 1) + 1;
}

}  // namespace

const std::vector<Pitch>& every_pitch() {
  static const std::vector<Pitch> pitches{Pitch::dense, Pitch::padded, Pitch::slice};
  return pitches;
}

const char* name(Pitch pitch) { return pitch == Pitch::dense ? "dense" : pitch == Pitch::padded ? "padded" : "slice"; }

std::vector<Layout> layouts_of(const Shape& shape) {
  std::vector<Layout> layouts{Layout::ncx, Layout::nxc, Layout::nCx8c, Layout::nCx16c};
  if (shape.spatial == 1) layouts.push_back(Layout::nc);
  return layouts;
}

Strides strides_of(Layout layout, const Shape& shape, Pitch pitch) {
  const bool padded = pitch == Pitch::padded;
  // Channels or blocks of the wider tensor beyond those of the slice.
  const std::int64_t more = pitch == Pitch::slice ? 3 : 0;
  const std::int64_t gap = padded ? 5 : 0;
  switch (layout) {
    case Layout::nc:
      return {shape.channels + more + gap, 0, 0};
    case Layout::ncx: {
      const std::int64_t plane = shape.spatial + gap;
      return {(shape.channels + more) * plane + gap, plane, 0};
    }
    case Layout::nxc: {
      const std::int64_t row = shape.channels + more + gap;
      return {shape.spatial * row + gap, 0, row};
    }
    case Layout::nCx8c:
    case Layout::nCx16c: {
      const std::int64_t row = row_of(layout) + gap;
      const std::int64_t block = shape.spatial * row + gap;
      return {(blocks_of(layout, shape) + more) * block + gap, block, row};
    }
  }
  return {};
}

std::int64_t offset_of(Layout layout, const Strides& strides, std::int64_t n, std::int64_t c, std::int64_t s) {
  switch (layout) {
    case Layout::nc:
      return n * strides.batch + c;
    case Layout::ncx:
      return n * strides.batch + c * strides.channel + s;
    case Layout::nxc:
      return n * strides.batch + s * strides.position + c;
    case Layout::nCx8c:
      return n * strides.batch + c / 8 * strides.channel + s * strides.position + c % 8;
    case Layout::nCx16c:
      return n * strides.batch + c / 16 * strides.channel + s * strides.position + c % 16;
  }
  return 0;
}

TensorBuffer::TensorBuffer(Layout layout, const Shape& shape, Pitch pitch)
    : layout_(layout),
      shape_(shape),
      strides_(strides_of(layout, shape, pitch)),
      memory_(static_cast<std::size_t>(extent_of(layout, shape, strides_))) {}

TensorBuffer::TensorBuffer(Layout layout, const Shape& shape, Pitch pitch, const Values& values)
    : TensorBuffer(layout, shape, pitch) {
  fill(values);
}

/// Calls visit(offset in memory, index in the order batch, channel, position).
template <typename Visit>
void TensorBuffer::for_each_element(Visit visit) const {
  for (std::int64_t n = 0; n < shape_.batch; ++n) {
    for (std::int64_t c = 0; c < shape_.channels; ++c) {
      const std::int64_t plane = (n * shape_.channels + c) * shape_.spatial;
      const std::int64_t first = offset_of(layout_, strides_, n, c, 0);
      const std::int64_t step = offset_of(layout_, strides_, n, c, 1) - first;
      for (std::int64_t s = 0; s < shape_.spatial; ++s) visit(first + s * step, plane + s);
    }
  }
}

void TensorBuffer::fill(const Values& values) {
  for_each_element([&](std::int64_t offset, std::int64_t i) { memory_.data()[offset] = values[i]; });
}

Values TensorBuffer::values() const {
  Values values(shape_.elements());
  for_each_element([&](std::int64_t offset, std::int64_t i) { values[i] = memory_.data()[offset]; });
  return values;
}

testing::AssertionResult TensorBuffer::surroundings_are_intact(bool owns_padding) const {
  enum : char { outside, element, pad };
  std::vector<char> kind(memory_.size(), outside);
  for_each_element([&](std::int64_t offset, std::int64_t) { kind[offset] = element; });
  for (std::int64_t c = shape_.channels; c < blocks_of(layout_, shape_) * row_of(layout_); ++c) {
    for (std::int64_t n = 0; n < shape_.batch; ++n) {
      for (std::int64_t s = 0; s < shape_.spatial; ++s) kind[offset_of(layout_, strides_, n, c, s)] = pad;
    }
  }
  for (std::size_t i = 0; i < kind.size(); ++i) {
    const bool zeroed = kind[i] == pad && owns_padding;
    if (kind[i] == element || (zeroed ? memory_.data()[i] == 0 : memory_.is_canary(i))) continue;
    return testing::AssertionFailure() << (kind[i] == pad ? "pad lane" : "memory between elements") << " at offset "
                                       << i << " is " << memory_.data()[i] << ", must be "
                                       << (zeroed ? "zero" : "untouched");
  }
  if (!memory_.front_is_intact()) return testing::AssertionFailure() << "memory before the first element was written";
  return testing::AssertionSuccess();
}

}  // namespace xbn::test
