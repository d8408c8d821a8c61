#pragma once

// Where the tiles of a problem lie in a caller's tensors: the one place that knows layouts and strides. The driver asks
// for tile t of a group of channels and calls the leaf kernel of the family on it.

#include "kernels/kernel_table.hpp"
#include "plan.hpp"
#include "tiles.hpp"

namespace xbn::internal {

struct TensorIn {
  const float* data;
  Strides strides;  // resolved
};

struct TensorOut {
  float* data;
  Strides strides;  // resolved
  bool owns_padding;
};

class Walk {
 public:
  Walk(const Problem& problem, const Tiling& tiling, const kernels::KernelTable& kernels, const CacheSizes& caches)
      : problem_(problem), tiling_(tiling), kernels_(kernels), caches_(caches) {}

  // Elements a channel of a tile.
  Index elements(Index tile) const;

  // All per-channel pointers are to the first channel of the group.
  void moments(const TensorIn& x, ChannelRange group, Index tile, const kernels::MomentsOut& out) const;
  // Ahead of the moments of a tile.
  void prefetch_pivots(const TensorIn& x, ChannelRange group, Index tile) const;
  void gradient_sums(const TensorIn& x, const TensorIn& dy, ChannelRange group, Index tile, const float* mean,
                     const kernels::GradientSumsOut& out) const;
  // `ahead`: channels from each that is read to one that is fetched for the pass after it, in the planar family.
  void apply(const TensorIn& x, const TensorOut& y, ChannelRange group, const Piece& piece,
             const kernels::Affine& affine, kernels::Store store, Index ahead = 0) const;
  void gradient_apply(const TensorIn& x, const TensorIn& dy, const TensorOut& dx, ChannelRange group,
                      const Piece& piece, const kernels::GradientAffine& affine, kernels::Store store,
                      Index ahead = 0) const;

  // The apply pass of one slab beside the sums of the next, in the planar and blocked families: of the same tile, of a
  // group of channels of each. Coefficients are those of the first channel of `now`, sums those of the first of
  // `group`.
  void apply_and_moments(const TensorIn& x, const TensorOut& y, ChannelRange now, const kernels::Affine& affine,
                         kernels::Store store, ChannelRange group, Index tile, const kernels::MomentsOut& out) const;
  void gradient_apply_and_sums(const TensorIn& applied_x, const TensorIn& x, const TensorIn& dy, const TensorOut& dx,
                               ChannelRange now, const kernels::GradientAffine& affine, kernels::Store store,
                               ChannelRange group, Index tile, const float* mean,
                               const kernels::GradientSumsOut& out) const;

 private:
  PlanesTile planes_tile(const Piece& piece) const { return internal::planes_tile(problem_, tiling_, piece); }
  kernels::PlanePart part_of(const PlanesTile& tile) const;
  kernels::PlanarSource planar(const TensorIn& tensor, ChannelRange group, const PlanesTile& tile,
                               Index ahead = 0) const;
  kernels::PlanarDestination planar(const TensorOut& tensor, ChannelRange group, const PlanesTile& tile) const;
  kernels::Reach reach(Index tensors) const;
  kernels::RowsExtent rows_extent(ChannelRange group, const Piece& piece, kernels::Reach reach) const;
  kernels::RowsSource rows(const TensorIn& tensor, ChannelRange group) const;
  kernels::RowsDestination rows(const TensorOut& tensor, ChannelRange group) const;
  kernels::PlanarExtent planar_extent(ChannelRange group, const PlanesTile& tile, kernels::Reach reach) const;
  kernels::BlocksExtent blocks_extent(ChannelRange group, const PlanesTile& tile,
                                      kernels::Reach reach = kernels::Reach::memory) const;
  kernels::BlocksSource blocks(const TensorIn& tensor, ChannelRange group, const PlanesTile& tile) const;
  kernels::BlocksDestination blocks(const TensorOut& tensor, ChannelRange group, const PlanesTile& tile) const;

  const Problem& problem_;
  const Tiling& tiling_;
  const kernels::KernelTable& kernels_;
  const CacheSizes& caches_;
};

}  // namespace xbn::internal
