#include "xbn/tensor.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include "errors.hpp"
#include "nesting.hpp"

namespace xbn {
namespace {

using internal::Nesting;
using internal::reject;
using internal::to_text;

constexpr std::int64_t max_elements = std::numeric_limits<std::int64_t>::max() / std::int64_t{sizeof(float)};

[[noreturn]] void reject_layout(Layout layout) {
  reject("layout", "be one of nc, ncx, nxc, nCx8c, nCx16c", to_text(static_cast<std::int64_t>(layout)));
}

std::string indexed(const char* array, int index) { return std::string(array) + "[" + std::to_string(index) + "]"; }

struct DenseTensor {
  Strides strides;
  std::int64_t elements = 0;
};

void require_size(const char* argument, std::int64_t size) {
  if (size < 0) reject(argument, "be at least 0", to_text(size));
}

DenseTensor dense_tensor(Layout layout, std::int64_t batch, std::int64_t channels, std::int64_t spatial) {
  channel_block(layout);
  require_size("batch", batch);
  require_size("channels", channels);
  require_size("spatial", spatial);
  if (layout == Layout::nc && spatial != 1) reject("spatial", "be 1 in layout nc", to_text(spatial));
  const Nesting nest = internal::nesting(layout, batch, channels, spatial);
  std::int64_t plane = 0;
  std::int64_t image = 0;
  std::int64_t elements = 0;
  const bool overflow = __builtin_mul_overflow(nest.positions, nest.run, &plane) ||
                        __builtin_mul_overflow(nest.planes, plane, &image) ||
                        __builtin_mul_overflow(nest.batch, image, &elements);
  if (overflow || image > max_elements || elements > max_elements) {
    reject("batch * channels * spatial", "take at most 2^63 - 1 bytes",
           to_text(batch) + " * " + to_text(channels) + " * " + to_text(spatial) + " in layout " +
               std::string(name(layout)));
  }
  Strides strides;
  strides.batch = image;
  strides.channel = internal::has_channel_pitch(layout) ? plane : 0;
  strides.position = internal::has_position_pitch(layout) ? nest.run : 0;
  return {strides, elements};
}

// The pitch of dimension `i`, or 0 where its extent makes it meaningless. A framework's stride of 0 means that one
// element stands for all, which must not be mistaken for this library's "dense".
std::int64_t pitch(const std::int64_t* strides, int i, std::int64_t extent) {
  if (extent <= 1) return 0;
  if (strides[i] < 1) reject(indexed("strides", i), "be at least 1", to_text(strides[i]));
  return strides[i];
}

// The pitch of all spatial positions taken as one dimension, or 0 where there is at most one.
std::int64_t position_pitch(const std::int64_t* sizes, const std::int64_t* strides, int rank) {
  for (int i = 2; i < rank; ++i) {
    if (sizes[i] == 0) return 0;
  }
  std::int64_t innermost = 0;
  std::int64_t expected = 0;
  bool overflow = false;
  for (int i = rank - 1; i >= 2; --i) {
    if (sizes[i] == 1) continue;
    const std::int64_t stride = pitch(strides, i, sizes[i]);
    if (innermost == 0) {
      innermost = stride;
    } else if (overflow || stride != expected) {
      reject(indexed("strides", i), "be size * stride of the next spatial dimension, " + to_text(expected),
             to_text(stride));
    }
    overflow = __builtin_mul_overflow(sizes[i], stride, &expected);
  }
  return innermost;
}

void require_contiguous(Layout layout, const std::int64_t* sizes, const std::int64_t* strides, int i) {
  if (sizes[i] > 1 && strides[i] != 1) {
    reject(indexed("strides", i), "be 1 in layout " + std::string(name(layout)), to_text(strides[i]));
  }
}

int innermost_position(const std::int64_t* sizes, int rank) {
  int i = rank - 1;
  while (i > 2 && sizes[i] == 1) --i;
  return i;
}

}  // namespace

std::string_view name(Layout layout) {
  switch (layout) {
    case Layout::nc:
      return "nc";
    case Layout::ncx:
      return "ncx";
    case Layout::nxc:
      return "nxc";
    case Layout::nCx8c:
      return "nCx8c";
    case Layout::nCx16c:
      return "nCx16c";
  }
  reject_layout(layout);
}

std::int64_t channel_block(Layout layout) {
  if (layout < Layout::nc || layout > Layout::nCx16c) reject_layout(layout);
  return internal::block_of(layout);
}

Strides dense_strides(Layout layout, std::int64_t batch, std::int64_t channels, std::int64_t spatial) {
  return dense_tensor(layout, batch, channels, spatial).strides;
}

std::int64_t dense_elements(Layout layout, std::int64_t batch, std::int64_t channels, std::int64_t spatial) {
  return dense_tensor(layout, batch, channels, spatial).elements;
}

std::int64_t element_offset(Layout layout, const Strides& strides, std::int64_t n, std::int64_t c, std::int64_t s) {
  switch (layout) {
    case Layout::nc:
      return n * strides.batch + c;
    case Layout::ncx:
      return n * strides.batch + c * strides.channel + s;
    case Layout::nxc:
      return n * strides.batch + s * strides.position + c;
    case Layout::nCx8c:
    case Layout::nCx16c:
      break;
  }
  const std::int64_t block = internal::block_of(layout);
  return n * strides.batch + c / block * strides.channel + s * strides.position + c % block;
}

Strides collapse_strides(Layout layout, const std::int64_t* sizes, const std::int64_t* strides, int rank) {
  const std::int64_t block = channel_block(layout);
  if (sizes == nullptr) reject("sizes", "not be null", "null");
  if (strides == nullptr) reject("strides", "not be null", "null");
  if (rank < 2) reject("rank", "be at least 2", to_text(std::int64_t{rank}));
  for (int i = 0; i < rank; ++i) {
    if (sizes[i] < 0) reject(indexed("sizes", i), "be at least 0", to_text(sizes[i]));
    if (layout == Layout::nc && i >= 2 && sizes[i] != 1) {
      reject(indexed("sizes", i), "be 1 in layout nc", to_text(sizes[i]));
    }
  }
  const std::int64_t positions = position_pitch(sizes, strides, rank);
  Strides collapsed;
  collapsed.batch = pitch(strides, 0, sizes[0]);
  if (internal::is_blocked(layout)) {
    collapsed.channel = pitch(strides, 1, sizes[1] > block ? sizes[1] : 1);
    collapsed.position = positions;
  } else if (layout == Layout::ncx) {
    if (rank > 2) require_contiguous(layout, sizes, strides, innermost_position(sizes, rank));
    collapsed.channel = pitch(strides, 1, sizes[1]);
  } else {
    require_contiguous(layout, sizes, strides, 1);
    collapsed.position = positions;
  }
  return collapsed;
}

}  // namespace xbn
