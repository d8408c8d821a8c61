#pragma once

// What each instruction set provides: the leaf kernels, serial, on raw pointers, without allocation or exceptions.
// Planar kernels take a group of channels, each a number of planes; interleaved ones take rows of channels. Results do
// not depend on the table chosen, SSE2's (no fused multiply-add) excepted.

#include <cstddef>
#include <cstdint>

#include "xbn/activation.hpp"
#include "xbn/batch_norm.hpp"
#include "xbn/types.hpp"

namespace xbn::kernels {

using Index = std::int64_t;

// Where elements most likely are when sums are taken of them: it decides how they are read, and no sum. From the
// nearest to the farthest; contended is a last cache that others use as well.
enum class Reach { own_cache, shared_cache, contended_cache, memory };

// Which positions of its planes a tile has: those from `first` on, and whether all from there on.
struct PlanePart {
  Index first = 0;
  bool to_end = true;
};

// Elements x[n * plane_pitch + c * channel_pitch + i] for n in [0, planes), c in [0, channels), i in [0, length).
struct PlanarExtent {
  Index planes;
  Index channels;
  Index length;
  Reach reach = Reach::memory;
  PlanePart part{};
};

struct PlanarSource {
  const float* data;
  Index plane_pitch;
  Index channel_pitch;
  // Elements from each that an apply pass reads to one that it fetches for the pass after it; 0: none.
  Index ahead = 0;
};

struct PlanarDestination {
  float* data;
  Index plane_pitch;
  Index channel_pitch;
};

// Row r of an interleaved tensor begins at data[(r / spatial) * batch_pitch + (r % spatial) * row_pitch]; its channels
// are channel_pitch apart (1, but for single positions of a planar tensor's slice).
struct RowsSource {
  const float* data;
  Index spatial;
  Index batch_pitch;
  Index row_pitch;
  Index channel_pitch;
};

struct RowsDestination {
  float* data;
  Index spatial;
  Index batch_pitch;
  Index row_pitch;
  Index channel_pitch;
};

// Rows [first, first + count) of `channels` channels each. `fold` positions of fewer than 16 channels make one row of
// lanes (1: no folding). `column`: the tensor's rows have 16 lanes, `narrow`: at most kNarrowRow (the tensor's, not
// this part's: it decides sums).
struct RowsExtent {
  Index first;
  Index count;
  Index channels;
  Index fold;
  bool column;
  bool narrow;
  Reach reach;
};

// Elements x[n * image_pitch + (c / block) * block_pitch + r * row_pitch + c % block] of `channels` channels that begin
// a block, n in [0, images), r in [0, length). `block` is 8 or 16.
struct BlocksExtent {
  Index images;
  Index channels;
  Index length;
  Index block;
  Reach reach = Reach::memory;
  PlanePart part{};
};

struct BlocksSource {
  const float* data;
  Index image_pitch;
  Index block_pitch;
  Index row_pitch;
};

// `owns_padding`: lanes behind the channels of a partial last block are set to zero.
struct BlocksDestination {
  float* data;
  Index image_pitch;
  Index block_pitch;
  Index row_pitch;
  bool owns_padding;
};

// Per-channel coefficients of y = (x - mean) * scale + shift, or y = x * scale + shift where mean is null.
struct Affine {
  const float* mean;
  const float* scale;
  const float* shift;
};

// Per-channel coefficients of dx = a * (dy + b * (x - mean) + c), or dx = a * dy where b is null.
struct GradientAffine {
  const float* mean;
  const float* a;
  const float* b;
  const float* c;
};

struct MomentsOut {
  double* mean;
  double* m2;
};

struct GradientSumsOut {
  double* dy;
  double* dy_x;
  double* x;
};

// Ordinary stores leave what they write in the cache; streaming ones go past it, and must not be used in place. Who has
// streamed calls stream_fence before it says so: not the kernels, a tile is too little to wait for memory after it.
enum class Store { ordinary, streaming };

// What `apply` and `gradient_apply` take: a tile of the slab that is applied while sums are taken of the next.
template <class Source, class Destination, class Extent>
struct ApplyTile {
  Source x;
  Destination y;
  Extent extent;
  Affine affine;
  Store store;
};

template <class Source, class Destination, class Extent>
struct GradientApplyTile {
  Source x;
  Source dy;
  Destination dx;
  Extent extent;
  GradientAffine affine;
  Store store;
};

using PlanarApplyTile = ApplyTile<PlanarSource, PlanarDestination, PlanarExtent>;
using BlocksApplyTile = ApplyTile<BlocksSource, BlocksDestination, BlocksExtent>;
using PlanarGradientApplyTile = GradientApplyTile<PlanarSource, PlanarDestination, PlanarExtent>;
using BlocksGradientApplyTile = GradientApplyTile<BlocksSource, BlocksDestination, BlocksExtent>;

struct ForwardFinalise {
  double count;
  const double* mean;
  const double* m2;
  const float* gamma;
  const float* beta;
  double epsilon;
  EpsilonPlacement placement;
  float* mean_out;
  float* variance_out;
  float* scale;
  float* shift;
  RunningStatistics running;
};

struct GivenFinalise {
  const float* variance;
  const float* gamma;
  const float* beta;
  double epsilon;
  EpsilonPlacement placement;
  float* scale;
  float* shift;
};

struct BackwardFinalise {
  double count;
  Statistics statistics;
  const double* dy;
  const double* dy_x;
  const double* x;
  const float* gamma;
  const float* variance;
  double epsilon;
  EpsilonPlacement placement;
  float* dgamma;
  float* dbeta;
  float* a;
  float* b;
  float* c;
};

struct KernelTable {
  // One tile: at most kMaxGroup channels, moments[c] of each about its own pivot. `length` may be part of a plane.
  void (*planar_moments)(const PlanarSource& x, const PlanarExtent& extent, const MomentsOut& out);
  // One tile of rows: at most kMaxLanes channels.
  void (*rows_moments)(const RowsSource& x, const RowsExtent& extent, const MomentsOut& out);
  void (*blocks_moments)(const BlocksSource& x, const BlocksExtent& extent, const MomentsOut& out);

  // Brings to the cache what the moments of a tile look at first, its pivots: else they wait for memory one by one.
  void (*planar_prefetch_pivots)(const PlanarSource& x, const PlanarExtent& extent);
  void (*blocks_prefetch_pivots)(const BlocksSource& x, const BlocksExtent& extent);

  void (*planar_apply)(const PlanarSource& x, const PlanarDestination& y, const PlanarExtent& extent,
                       const Affine& affine, Store store);
  void (*rows_apply)(const RowsSource& x, const RowsDestination& y, const RowsExtent& extent, const Affine& affine,
                     Store store);
  void (*blocks_apply)(const BlocksSource& x, const BlocksDestination& y, const BlocksExtent& extent,
                       const Affine& affine, Store store);

  // x may be null where only the sums of dy are wanted: out.dy_x and out.x are then null too.
  void (*planar_gradient_sums)(const PlanarSource& x, const PlanarSource& dy, const PlanarExtent& extent,
                               const float* mean, const GradientSumsOut& out);
  void (*rows_gradient_sums)(const RowsSource& x, const RowsSource& dy, const RowsExtent& extent, const float* mean,
                             const GradientSumsOut& out);
  void (*blocks_gradient_sums)(const BlocksSource& x, const BlocksSource& dy, const BlocksExtent& extent,
                               const float* mean, const GradientSumsOut& out);

  void (*planar_gradient_apply)(const PlanarSource& x, const PlanarSource& dy, const PlanarDestination& dx,
                                const PlanarExtent& extent, const GradientAffine& affine, Store store);
  void (*rows_gradient_apply)(const RowsSource& x, const RowsSource& dy, const RowsDestination& dx,
                              const RowsExtent& extent, const GradientAffine& affine, Store store);
  void (*blocks_gradient_apply)(const BlocksSource& x, const BlocksSource& dy, const BlocksDestination& dx,
                                const BlocksExtent& extent, const GradientAffine& affine, Store store);

  // apply(now) and moments, in one loop, so that reading and writing overlap. Both are of the same tile, `now` of other
  // channels, whose number may be another. Likewise gradient_apply(now) and gradient_sums, of which x is not null.
  void (*planar_apply_and_moments)(const PlanarApplyTile& now, const PlanarSource& x, const PlanarExtent& extent,
                                   const MomentsOut& out);
  void (*blocks_apply_and_moments)(const BlocksApplyTile& now, const BlocksSource& x, const BlocksExtent& extent,
                                   const MomentsOut& out);
  void (*planar_gradient_apply_and_sums)(const PlanarGradientApplyTile& now, const PlanarSource& x,
                                         const PlanarSource& dy, const PlanarExtent& extent, const float* mean,
                                         const GradientSumsOut& out);
  void (*blocks_gradient_apply_and_sums)(const BlocksGradientApplyTile& now, const BlocksSource& x,
                                         const BlocksSource& dy, const BlocksExtent& extent, const float* mean,
                                         const GradientSumsOut& out);

  // Orders streaming stores before what the thread does next.
  void (*stream_fence)();

  // Per channel. merge_moments takes (from_count, from) into (into_count, into); neither count is 0.
  void (*merge_moments)(Index channels, Index into_count, const MomentsOut& into, Index from_count,
                        const MomentsOut& from);
  void (*add)(Index channels, double* into, const double* from);
  void (*finalise_forward)(Index channels, const ForwardFinalise& args);
  void (*finalise_given)(Index channels, const GivenFinalise& args);
  void (*finalise_backward)(Index channels, const BackwardFinalise& args);

  // Of `count` elements: from one type to another, by way of double where both are, else of float.
  void (*convert)(DataType from_type, const void* from, DataType to_type, void* to, Index count);

  // Of `count` elements of f32 or f64: y = f(z), dz = dy * f'(z); of an invertible activation, by y: z, and dz.
  void (*activate)(const Activation& activation, DataType type, const void* z, void* y, Index count);
  void (*activation_gradient)(const Activation& activation, DataType type, const void* z, const void* dy, void* dz,
                              Index count);
  void (*activation_inverse)(const Activation& activation, DataType type, const void* y, void* z, Index count);
  void (*activation_gradient_of_output)(const Activation& activation, DataType type, const void* y, const void* dy,
                                        void* dz, Index count);
};

// Lanes of the virtual vector in which all sums are taken, on every instruction set.
inline constexpr Index kLanes = 16;
// Additions that a single-precision sum takes before it is added to one in double.
inline constexpr Index kBlockRows = 16;
// Planes smaller than this are summed position by position where there are enough of them, and applied as one run.
inline constexpr Index kSmallPlane = 256;
// Planar: channels of one tile. Blocked: blocks of channels.
inline constexpr Index kMaxGroup = 16;
// Channels of one tile of rows.
inline constexpr Index kMaxLanes = 1024;
// From one array of double sums of as many lanes to the next: they are added to by turns, and stores that lie whole
// pages apart are up to three times as slow.
inline constexpr Index kSumsPitch = kMaxLanes + 3 * kLanes;
// Rows of at most so many lanes are summed in the order of memory, wider ones by turns.
inline constexpr Index kNarrowRow = 128;

extern const KernelTable sse2_table;
extern const KernelTable avx2_table;
extern const KernelTable avx512_table;
// For processors that work on AVX-512's registers in two halves.
extern const KernelTable avx512_halved_table;

}  // namespace xbn::kernels
