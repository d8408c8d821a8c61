#pragma once

/// How every layout nests: runs of contiguous elements, repeated along positions, then planes, then the batch.

#include <cstdint>

#include "xbn/tensor.hpp"

namespace xbn::internal {

/// Extents of a tensor in its layout. A dimension that lies within the run has extent 1 and no pitch.
struct Nesting {
  std::int64_t run = 0;  ///< contiguous elements: positions in ncx, channels in nc and nxc, a block's row in nCx8c
  std::int64_t positions = 1;
  std::int64_t planes = 1;  ///< channels in ncx, channel blocks in nCx8c and nCx16c
  std::int64_t batch = 0;
};

constexpr std::int64_t block_of(Layout layout) {
  return layout == Layout::nCx8c ? 8 : layout == Layout::nCx16c ? 16 : 1;
}

constexpr bool is_blocked(Layout layout) { return block_of(layout) > 1; }
constexpr bool has_position_pitch(Layout layout) { return layout == Layout::nxc || is_blocked(layout); }
constexpr bool has_channel_pitch(Layout layout) { return layout == Layout::ncx || is_blocked(layout); }

constexpr Nesting nesting(Layout layout, std::int64_t batch, std::int64_t channels, std::int64_t spatial) {
  switch (layout) {
    case Layout::nc:
      return {channels, 1, 1, batch};
    case Layout::ncx:
      return {spatial, 1, channels, batch};
    case Layout::nxc:
      return {channels, spatial, 1, batch};
    case Layout::nCx8c:
    case Layout::nCx16c:
      break;
  }
  if (layout == Layout::nCx8c) return {8, spatial, channels / 8 + (channels % 8 != 0), batch};
  return {16, spatial, channels / 16 + (channels % 16 != 0), batch};
}

}  // namespace xbn::internal
