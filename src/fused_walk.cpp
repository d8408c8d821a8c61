#include "fused_walk.hpp"

#include <algorithm>

#include "nesting.hpp"

namespace xbn::internal {

using namespace kernels;

namespace {

Shape shape_of(Family family) {
  switch (family) {
    case Family::planar:
      return Shape::planes;
    case Family::blocked:
      return Shape::blocks;
    case Family::interleaved:
      break;
  }
  return Shape::rows;
}

}  // namespace

FusedExtent FusedWalk::extent(ChannelRange group, const Piece& piece, const Index* lengths, Index element) const {
  const PlanesTile at = planes_tile(problem_, tiling_, piece);
  const Shape shape = shape_of(tiling_.family);
  const bool rows = shape == Shape::rows;
  const Index width = rows ? group.count : block_of(problem_.layout);
  FusedExtent extent{};
  extent.shape = shape;
  extent.images = at.planes;
  extent.blocks = rows ? 1 : (group.count + width - 1) / width;
  extent.positions = at.length;
  extent.width = width;
  extent.channels = group.count;
  extent.fold = tiling_.fold;
  extent.narrow = problem_.channels * tiling_.fold <= kNarrowRow;
  extent.reach = reach_of(problem_, caches_, element);
  extent.part = {at.offset, at.offset + at.length == problem_.spatial};
  if (lengths != nullptr) extent.lengths = lengths + at.first_plane;
  return extent;
}

Index FusedWalk::offset(const Strides& strides, ChannelRange group, const PlanesTile& at) const {
  const Index position = tiling_.family == Family::planar ? 1 : strides.position;
  const Index block =
      problem_.layout == Layout::nxc ? group.first : group.first / block_of(problem_.layout) * strides.channel;
  return at.first_plane * strides.batch + at.offset * position + block;
}

FusedSource FusedWalk::source(const TypedIn& tensor, ChannelRange group, const Piece& piece, Index ahead) const {
  if (tensor.data == nullptr) return {nullptr, tensor.type, 0, 0, 0};
  const Strides& strides = tensor.strides;
  const Index bytes =
      offset(strides, group, planes_tile(problem_, tiling_, piece)) * static_cast<Index>(size_of(tensor.type));
  return {static_cast<const char*>(tensor.data) + bytes,
          tensor.type,
          strides.batch,
          strides.channel,
          tiling_.family == Family::planar ? 1 : strides.position,
          ahead / block_of(problem_.layout) * strides.channel};
}

FusedDestination FusedWalk::destination(const TypedOut& tensor, ChannelRange group, const Piece& piece) const {
  if (tensor.data == nullptr) return {nullptr, tensor.type, 0, 0, 0, false};
  const Strides& strides = tensor.strides;
  const Index bytes =
      offset(strides, group, planes_tile(problem_, tiling_, piece)) * static_cast<Index>(size_of(tensor.type));
  return {static_cast<char*>(tensor.data) + bytes,
          tensor.type,
          strides.batch,
          strides.channel,
          tiling_.family == Family::planar ? 1 : strides.position,
          tensor.owns_padding};
}

template <class Byte>
FusedMask<Byte> FusedWalk::mask(Byte* bytes, Layout layout, ChannelRange group, const Piece& piece) const {
  if (bytes == nullptr) return {};
  const PlanesTile at = planes_tile(problem_, tiling_, piece);
  const Nesting nest = nesting(layout, problem_.batch, problem_.channels, problem_.spatial);
  const Index run = nest.run / 8 + (nest.run % 8 != 0);
  const Index block = nest.positions * run;
  const Index image = nest.planes * block;
  bytes += at.first_plane * image;
  if (layout == Layout::ncx) return {bytes + group.first * block + at.offset / 8, image, block, run};
  bytes += at.offset * run;
  if (tiling_.family == Family::interleaved) return {bytes + group.first / 8, image, block, run};
  return {bytes + group.first / block_of(problem_.layout) * block, image, block, run};
}

template FusedMask<std::uint8_t> FusedWalk::mask(std::uint8_t*, Layout, ChannelRange, const Piece&) const;
template FusedMask<const std::uint8_t> FusedWalk::mask(const std::uint8_t*, Layout, ChannelRange, const Piece&) const;

Index FusedWalk::elements(Index tile, const Index* lengths) const {
  const PlanesTile at = planes_tile(problem_, tiling_, {tile, 0, 1});
  if (lengths == nullptr) return at.planes * at.length;
  Index count = 0;
  for (Index n = at.first_plane; n < at.first_plane + at.planes; ++n) {
    count += std::clamp<Index>(lengths[n] - at.offset, 0, at.length);
  }
  return count;
}

}  // namespace xbn::internal
