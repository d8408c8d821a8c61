#include "walk.hpp"

#include <algorithm>

namespace xbn::internal {

namespace {

using namespace kernels;

template <class Planes, class Tensor>
Planes planes_of(const Tensor& tensor, Index first_channel, Index first_plane, Index offset) {
  const Strides& strides = tensor.strides;
  return {tensor.data + first_plane * strides.batch + first_channel * strides.channel + offset, strides.batch,
          strides.channel};
}

template <class RowsOf, class Tensor>
RowsOf rows_of(const Tensor& tensor, const Problem& problem, Index first_channel) {
  const Strides& strides = tensor.strides;
  const Index channel_pitch = problem.layout == Layout::ncx ? strides.channel : 1;
  auto* const data = tensor.data + first_channel * channel_pitch;
  if (problem.spatial == 1) {
    return {data, std::max<Index>(1, problem.batch), problem.batch * strides.batch, strides.batch, channel_pitch};
  }
  return {data, problem.spatial, strides.batch, strides.position, channel_pitch};
}

template <class Tensor>
auto* block_of(const Tensor& tensor, const Problem& problem, Index first_channel, Index first_image, Index offset) {
  const Strides& strides = tensor.strides;
  return tensor.data + first_image * strides.batch + first_channel / channel_block(problem.layout) * strides.channel +
         offset * strides.position;
}

}  // namespace

Index Walk::elements(Index tile) const {
  if (tiling_.family == Family::interleaved) {
    return std::min(tiling_.rows_per_tile, problem_.batch * problem_.spatial - tile * tiling_.rows_per_tile);
  }
  const PlanesTile at = planes_tile({tile, 0, 1});
  return at.planes * at.length;
}

PlanarSource Walk::planar(const TensorIn& tensor, ChannelRange group, const PlanesTile& tile, Index ahead) const {
  PlanarSource planes = planes_of<PlanarSource>(tensor, group.first, tile.first_plane, tile.offset);
  planes.ahead = ahead * tensor.strides.channel;
  return planes;
}

PlanarDestination Walk::planar(const TensorOut& tensor, ChannelRange group, const PlanesTile& tile) const {
  return planes_of<PlanarDestination>(tensor, group.first, tile.first_plane, tile.offset);
}

// Of sums over so many tensors.
Reach Walk::reach(Index tensors) const {
  return reach_of(problem_, caches_, tensors * static_cast<Index>(sizeof(float)));
}

RowsExtent Walk::rows_extent(ChannelRange group, const Piece& piece, Reach reach) const {
  const Index first = piece.tile * tiling_.rows_per_tile;
  const Index rows = std::min(piece.tiles * tiling_.rows_per_tile, problem_.batch * problem_.spatial - first);
  const Part some = part(rows, piece.index, piece.of, tiling_.row_granule);
  return {first + some.first,
          some.count,
          group.count,
          tiling_.fold,
          problem_.channels * tiling_.fold == kLanes,
          problem_.channels * tiling_.fold <= kNarrowRow,
          reach};
}

RowsSource Walk::rows(const TensorIn& tensor, ChannelRange group) const {
  return rows_of<RowsSource>(tensor, problem_, group.first);
}

RowsDestination Walk::rows(const TensorOut& tensor, ChannelRange group) const {
  return rows_of<RowsDestination>(tensor, problem_, group.first);
}

PlanePart Walk::part_of(const PlanesTile& tile) const {
  return {tile.offset, tile.offset + tile.length == problem_.spatial};
}

PlanarExtent Walk::planar_extent(ChannelRange group, const PlanesTile& tile, Reach reach) const {
  return {tile.planes, group.count, tile.length, reach, part_of(tile)};
}

BlocksExtent Walk::blocks_extent(ChannelRange group, const PlanesTile& tile, Reach reach) const {
  return {tile.planes, group.count, tile.length, channel_block(problem_.layout), reach, part_of(tile)};
}

BlocksSource Walk::blocks(const TensorIn& tensor, ChannelRange group, const PlanesTile& tile) const {
  const Strides& strides = tensor.strides;
  return {block_of(tensor, problem_, group.first, tile.first_plane, tile.offset), strides.batch, strides.channel,
          strides.position};
}

BlocksDestination Walk::blocks(const TensorOut& tensor, ChannelRange group, const PlanesTile& tile) const {
  const Strides& strides = tensor.strides;
  return {block_of(tensor, problem_, group.first, tile.first_plane, tile.offset), strides.batch, strides.channel,
          strides.position, tensor.owns_padding};
}

void Walk::moments(const TensorIn& x, ChannelRange group, Index tile, const MomentsOut& out) const {
  const Piece whole{tile, 0, 1};
  if (tiling_.family == Family::interleaved) {
    return kernels_.rows_moments(rows(x, group), rows_extent(group, whole, reach(1)), out);
  }
  const PlanesTile at = planes_tile(whole);
  if (tiling_.family == Family::planar) {
    kernels_.planar_moments(planar(x, group, at), planar_extent(group, at, reach(1)), out);
  } else {
    kernels_.blocks_moments(blocks(x, group, at), blocks_extent(group, at, reach(1)), out);
  }
}

void Walk::prefetch_pivots(const TensorIn& x, ChannelRange group, Index tile) const {
  if (tiling_.family == Family::interleaved) return;
  const PlanesTile at = planes_tile({tile, 0, 1});
  if (tiling_.family == Family::planar) {
    kernels_.planar_prefetch_pivots(planar(x, group, at), {at.planes, group.count, at.length});
  } else {
    kernels_.blocks_prefetch_pivots(blocks(x, group, at), blocks_extent(group, at));
  }
}

void Walk::gradient_sums(const TensorIn& x, const TensorIn& dy, ChannelRange group, Index tile, const float* mean,
                         const GradientSumsOut& out) const {
  const Piece whole{tile, 0, 1};
  const bool with_x = x.data != nullptr;
  if (tiling_.family == Family::interleaved) {
    return kernels_.rows_gradient_sums(with_x ? rows(x, group) : RowsSource{}, rows(dy, group),
                                       rows_extent(group, whole, reach(with_x ? 2 : 1)), mean, out);
  }
  const PlanesTile at = planes_tile(whole);
  if (tiling_.family == Family::planar) {
    kernels_.planar_gradient_sums(with_x ? planar(x, group, at) : PlanarSource{}, planar(dy, group, at),
                                  planar_extent(group, at, reach(with_x ? 2 : 1)), mean, out);
  } else {
    kernels_.blocks_gradient_sums(with_x ? blocks(x, group, at) : BlocksSource{}, blocks(dy, group, at),
                                  blocks_extent(group, at, reach(with_x ? 2 : 1)), mean, out);
  }
}

void Walk::apply(const TensorIn& x, const TensorOut& y, ChannelRange group, const Piece& piece, const Affine& affine,
                 Store store, Index ahead) const {
  if (tiling_.family == Family::interleaved) {
    return kernels_.rows_apply(rows(x, group), rows(y, group), rows_extent(group, piece, Reach::memory), affine, store);
  }
  const PlanesTile at = planes_tile(piece);
  if (tiling_.family == Family::planar) {
    kernels_.planar_apply(planar(x, group, at, ahead), planar(y, group, at), {at.planes, group.count, at.length},
                          affine, store);
  } else {
    kernels_.blocks_apply(blocks(x, group, at), blocks(y, group, at), blocks_extent(group, at), affine, store);
  }
}

void Walk::gradient_apply(const TensorIn& x, const TensorIn& dy, const TensorOut& dx, ChannelRange group,
                          const Piece& piece, const GradientAffine& affine, Store store, Index ahead) const {
  const bool with_x = x.data != nullptr;
  if (tiling_.family == Family::interleaved) {
    return kernels_.rows_gradient_apply(with_x ? rows(x, group) : RowsSource{}, rows(dy, group), rows(dx, group),
                                        rows_extent(group, piece, Reach::memory), affine, store);
  }
  const PlanesTile at = planes_tile(piece);
  if (tiling_.family == Family::planar) {
    kernels_.planar_gradient_apply(with_x ? planar(x, group, at, ahead) : PlanarSource{}, planar(dy, group, at, ahead),
                                   planar(dx, group, at), {at.planes, group.count, at.length}, affine, store);
  } else {
    kernels_.blocks_gradient_apply(with_x ? blocks(x, group, at) : BlocksSource{}, blocks(dy, group, at),
                                   blocks(dx, group, at), blocks_extent(group, at), affine, store);
  }
}

void Walk::apply_and_moments(const TensorIn& x, const TensorOut& y, ChannelRange now, const Affine& affine, Store store,
                             ChannelRange group, Index tile, const MomentsOut& out) const {
  const PlanesTile at = planes_tile({tile, 0, 1});
  if (tiling_.family == Family::planar) {
    kernels_.planar_apply_and_moments(
        {planar(x, now, at), planar(y, now, at), {at.planes, now.count, at.length}, affine, store},
        planar(x, group, at), planar_extent(group, at, reach(1)), out);
  } else {
    kernels_.blocks_apply_and_moments({blocks(x, now, at), blocks(y, now, at), blocks_extent(now, at), affine, store},
                                      blocks(x, group, at), blocks_extent(group, at, reach(1)), out);
  }
}

void Walk::gradient_apply_and_sums(const TensorIn& applied_x, const TensorIn& x, const TensorIn& dy,
                                   const TensorOut& dx, ChannelRange now, const GradientAffine& affine, Store store,
                                   ChannelRange group, Index tile, const float* mean,
                                   const GradientSumsOut& out) const {
  const PlanesTile at = planes_tile({tile, 0, 1});
  const bool with_x = applied_x.data != nullptr;
  if (tiling_.family == Family::planar) {
    kernels_.planar_gradient_apply_and_sums({with_x ? planar(applied_x, now, at) : PlanarSource{},
                                             planar(dy, now, at),
                                             planar(dx, now, at),
                                             {at.planes, now.count, at.length},
                                             affine,
                                             store},
                                            planar(x, group, at), planar(dy, group, at),
                                            planar_extent(group, at, reach(2)), mean, out);
  } else {
    kernels_.blocks_gradient_apply_and_sums({with_x ? blocks(applied_x, now, at) : BlocksSource{}, blocks(dy, now, at),
                                             blocks(dx, now, at), blocks_extent(now, at), affine, store},
                                            blocks(x, group, at), blocks(dy, group, at),
                                            blocks_extent(group, at, reach(2)), mean, out);
  }
}

}  // namespace xbn::internal
