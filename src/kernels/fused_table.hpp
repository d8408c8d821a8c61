#pragma once

// The leaf kernels of everything that is not plain f32: other types, activations, residuals, masks, sequences. One
// extent describes every layout, so that a fusion is written once and not once a layout.

#include "kernels/kernel_table.hpp"
#include "xbn/activation.hpp"
#include "xbn/types.hpp"

namespace xbn::kernels {

// A sum of two doubles, of which `low` is less than half a unit in the last place of `high`: some 106 bits.
struct DoubleDouble {
  double high = 0;
  double low = 0;
};

// What sums over elements computed in Real are kept in.
template <class Real>
struct WideOf;
template <>
struct WideOf<float> {
  using Type = double;
};
template <>
struct WideOf<double> {
  using Type = DoubleDouble;
};
template <class Real>
using Wide = typename WideOf<Real>::Type;

// One tile: elements data[n * image_pitch + b * block_pitch + r * row_pitch + l], n in [0, images), b in [0, blocks), r
// in [0, positions), l in [0, width), of `channels` channels.
// - Planes (ncx): a block is a channel, its positions are consecutive; width 1, row_pitch 1.
// - Blocks (nCx8c, nCx16c): width 8 or 16; the last block may have fewer channels.
// - Rows (nc, nxc): one block, width channels.
enum class Shape { planes, blocks, rows };

struct FusedExtent {
  Shape shape;
  Index images;
  Index blocks;
  Index positions;
  Index width;
  Index channels;
  // Rows: positions of fewer than 16 channels that make one row of sums (1: no folding).
  Index fold;
  // Rows of at most kNarrowRow lanes (the tensor's, not this part's: it decides sums).
  bool narrow;
  // Where sums find the tensors.
  Reach reach;
  PlanePart part;
  // Of image n, positions from lengths[n] on are void, counted from the tensor's first. Null: none.
  const Index* lengths;
};

struct FusedSource {
  const void* data;  // null: there is none
  DataType type;
  Index image_pitch;
  Index block_pitch;
  Index row_pitch;
  // Elements from each that an apply pass reads to one that it fetches for the pass after it; 0: none.
  Index ahead = 0;
};

struct FusedDestination {
  void* data;  // null: there is none
  DataType type;
  Index image_pitch;
  Index block_pitch;
  Index row_pitch;
  bool owns_padding;
};

// In bytes; a plane's bits are one run, and its row pitch is not used.
template <class Byte>
struct FusedMask {
  Byte* data;  // null: there is none
  Index image_pitch;
  Index block_pitch;
  Index row_pitch;
};

// y = f((x - mean) * scale + shift + residual), the mask the bits of !(f's argument <= 0). mean null: 0.
template <class Real>
struct FusedForward {
  FusedExtent extent;
  FusedSource x;
  FusedSource residual;
  FusedDestination y;
  FusedMask<std::uint8_t> mask;
  Activation activation;
  const Real* mean;
  const Real* scale;
  const Real* shift;
  Store store;
};

// dz = dy * f'(z): z from the mask, or (x - center) * scale + shift + residual; or, from_output, x is y, and f inverted
// gives z, which takes x's place. x null: taken to be center.
template <class Real>
struct FusedGradient {
  FusedExtent extent;
  FusedSource x;
  FusedSource dy;
  FusedSource residual;
  FusedMask<const std::uint8_t> mask;
  Activation activation;
  bool from_output;
  const Real* center;  // null: 0
  const Real* scale;
  const Real* shift;
};

// dx = a * (dz + weight * (b * (x - center) + c)), and d_residual = dz. b and c null: 0.
template <class Real>
struct FusedGradientApply {
  FusedDestination dx;
  FusedDestination d_residual;
  const Real* a;
  const Real* b;
  const Real* c;
  Real weight;
  Store store;
};

template <class Real>
struct WideMoments {
  Wide<Real>* mean;
  Wide<Real>* m2;
};

template <class Real>
struct WideGradientSums {
  Wide<Real>* dz;
  Wide<Real>* dz_x;
  Wide<Real>* x;
};

// Counts are of elements, or of their weights. Any output may be null.
template <class Real>
struct WideForwardFinalise {
  double count;
  WideMoments<Real> moments;
  const Real* gamma;
  const Real* beta;
  double epsilon;
  EpsilonPlacement placement;
  Real* mean;
  Real* variance;
  Real* scale;
  Real* shift;
  BasicRunningStatistics<Real> running;
};

template <class Real>
struct WideGivenFinalise {
  const Real* variance;
  const Real* gamma;
  const Real* beta;
  double epsilon;
  EpsilonPlacement placement;
  Real* scale;
  Real* shift;
};

// x_per_gamma: the sums are about beta of what gamma * xhat + beta is, and not of x.
template <class Real>
struct WideBackwardFinalise {
  double count;
  Statistics statistics;
  WideGradientSums<Real> sums;
  bool x_per_gamma;
  const Real* gamma;
  const Real* variance;
  double epsilon;
  EpsilonPlacement placement;
  Real* dgamma;
  Real* dbeta;
  Real* a;
  Real* b;
  Real* c;
};

template <class Real>
struct FusedTable {
  // Of the tile's elements that are not void, of which there must be some. Of x, only the source is used.
  void (*moments)(const FusedExtent& extent, const FusedSource& x, const WideMoments<Real>& out);
  // Ahead of the moments of a tile.
  void (*prefetch_pivots)(const FusedExtent& extent, const FusedSource& x);
  void (*apply)(const FusedForward<Real>& tile);
  // `now` beside the moments of another tile, both of planes or blocks of f32, without void positions. The activation
  // is light: none, ReLU, leaky or clipped ReLU. Null in double. (In half precision it takes longer than one after the
  // other.)
  void (*apply_and_moments)(const FusedForward<Real>& now, const FusedExtent& extent, const FusedSource& x,
                            const WideMoments<Real>& out);
  void (*gradient_sums)(const FusedGradient<Real>& tile, const WideGradientSums<Real>& out);
  void (*gradient_apply)(const FusedGradient<Real>& tile, const FusedGradientApply<Real>& out);
  // Likewise, beside the gradient sums of another tile; without activation or with a mask.
  void (*gradient_apply_and_sums)(const FusedGradient<Real>& now, const FusedGradientApply<Real>& apply,
                                  const FusedGradient<Real>& tile, const WideGradientSums<Real>& out);
  // Adds to saturated[c] how many elements of y the activation has saturated.
  void (*count_saturated)(const FusedExtent& extent, const FusedSource& y, const Activation& activation,
                          Index* saturated);

  // Takes `from` into `into`; no count is 0. The second-order sum of `from` counts `weight` times.
  void (*merge_moments)(Index channels, double into_count, const WideMoments<Real>& into, double from_count,
                        double weight, const WideMoments<Real>& from);
  void (*scale)(Index channels, Wide<Real>* values, double factor);
  void (*add)(Index channels, Wide<Real>* into, const Wide<Real>* from);
  void (*finalise_forward)(Index channels, const WideForwardFinalise<Real>& args);
  void (*finalise_given)(Index channels, const WideGivenFinalise<Real>& args);
  void (*finalise_backward)(Index channels, const WideBackwardFinalise<Real>& args);
  void (*stream_fence)();
};

// Both of an instruction set.
struct FusedTables {
  FusedTable<float> f32;
  FusedTable<double> f64;
};

extern const FusedTables sse2_fused;
extern const FusedTables avx2_fused;
extern const FusedTables avx512_fused;

}  // namespace xbn::kernels
