#pragma once

// Sums over a tile of any type and shape: what is summed is first staged, in the type that it is computed in, as rows
// of 16 lanes in the first cache, void positions left out. Elements of a run follow each other across images, so that
// small planes and sequences leave no parts of vectors. Where elements lie in memory as they would be staged, they are
// summed where they are, each image's by themselves. A companion (see companions.hpp) may go along with planes and
// blocks.

#include "kernels/bit_runs.hpp"
#include "kernels/column_sums.hpp"
#include "kernels/fused_sum_streams.hpp"
#include "kernels/row_sums.hpp"
#include "kernels/small_planes.hpp"
#include "kernels/wide_reductions.hpp"

namespace xbn::kernels {
namespace {

// Elements that are staged before they are summed: a block.
inline constexpr Index kStrip = kBlockRows * kLanes;
// Channels of a row that are staged at a time.
inline constexpr Index kStagedLanes = 256;

template <class A, class Reduction, class Streams, class Companion>
class FusedAccumulation {
 public:
  using Real = typename Reduction::Real;
  using Vector = Pack<A, Real, kLanes>;
  static constexpr int kSources = Reduction::kSources;
  static constexpr int kSums = Reduction::kSums;
  // Whether each sum is two numbers, the second what the first has lost.
  static constexpr bool kInPairs = std::is_same_v<Real, double>;

  // `center` null: 0. Each array of `sums` has a place for each channel, up to a multiple of 16 and of the rows' lanes.
  FusedAccumulation(const Streams& streams, const FusedExtent& extent, const Real* center, double* const (&sums)[kSums],
                    Companion& companion)
      : streams_(streams),
        next_(streams),
        extent_(with_rows_of_one_image(extent, streams_)),
        by_images_(streams.direct() && run_elements(extent, extent.positions) >= kLanes),
        center_(center),
        out_(sums),
        companion_(companion) {
    set_step(streams_, kLanes);
  }

  void run() {
    if (Companion::kWorks) return add_all_blocks();  // planes that have one are not small
    if constexpr (!Companion::kWorks) {
      if (extent_.shape == Shape::rows) {
        add_all_rows();
      } else if (has_small_planes()) {
        add_all_positions();
      } else {
        add_all_blocks();
      }
    }
  }

 private:
  static constexpr int kCoefficients = Streams::kCoefficients;
  static constexpr int kTogether = 4;

  // The block at hand of a column of lanes.
  struct StagedColumn {
    alignas(64) Real staged[kSources][kStrip + kTogether * kLanes];
    Index filled = 0;  // elements of the block
  };

  void add_all_blocks() {
    alignas(64) double lanes[kSums][kMaxGroup * kLanes];
    alignas(64) Real centers[kMaxGroup * kLanes];
    bool runs = by_images_;
    for (Index b = 0; b < extent_.blocks; ++b) {
      lanes_of<A>(extent_, b, center_).store(centers + b * kLanes);
      for (double* of_sum : lanes) {
        for (Index i = 0; i < kLanes; ++i) of_sum[b * kLanes + i] = 0;
      }
      runs = runs && is_run(extent_, b, streams_);
    }
    const BlocksOfTile blocks{centers, lanes};
    if (runs) {
      for_each_block(
          [&](Index n, Index b) { add_image(valid_positions(extent_, n), blocks.center(b), blocks.sums(b)); });
    } else {
      add_staged_blocks(blocks);
    }
    for (Index b = 0; b < extent_.blocks; ++b) gather(blocks.sums(b), b);
  }

  // The lanes of each block.
  struct BlocksOfTile {
    const Real* centers;
    double (&lanes)[kSums][kMaxGroup * kLanes];

    const Real* center(Index block) const { return centers + block * kLanes; }
    Sums<kSums> sums(Index block) const {
      Sums<kSums> result;
      for (int i = 0; i < kSums; ++i) result.sum[i] = lanes[i] + block * kLanes;
      return result;
    }
  };

  // Calls add(image, block) with the streams there.
  template <class Add>
  void for_each_block(const Add& add) {
    const Reading reading{extent_.images, extent_.blocks, extent_.positions, extent_.part};
    for (Index n = 0; n < extent_.images; ++n) {
      for (Index b = 0; b < extent_.blocks; ++b) {
        const Place next = reading.after(n, b);
        move_to(next_, next.image, next.block, next.position);
        move_to(streams_, n, b, 0);
        add(n, b);
      }
    }
  }

  // A run of an image by itself, where it lies.
  void add_image(Index positions, const Real* center, const Sums<kSums>& sums) {
    const Index elements = run_elements(extent_, positions);
    const Index rows = elements / kLanes;
    streams_.template with_consecutive<Reduction>([&]<class Direct>(Direct, const auto& lying) {
      Column<Direct> column{lying, rows, {}};
      next_.template with_consecutive<Reduction>([&](auto, const auto& next) {
        for (int s = 0; s < kSources; ++s) column.next[s] = next.data[s];
      });
      add_column<A>(column, rows, elements % kLanes, center, sums, companion_, extent_.reach);
    });
  }

  // A call: its columns are not to lie between what else is on the stack.
  [[gnu::noinline]] void add_staged_blocks(const BlocksOfTile& blocks) {
    StagedColumn columns[kMaxGroup];
    for_each_block([&](Index n, Index b) {
      add_block_of_image(columns[b], b, valid_positions(extent_, n), blocks.center(b), blocks.sums(b));
      if (!by_images_ && n + 1 < extent_.images) return;
      finish_block(columns[b], columns[b].filled, blocks.center(b), blocks.sums(b));
      columns[b].filled = 0;
    });
  }

  // From a block's lanes to its channels.
  void gather(const Sums<kSums>& lanes, Index block) const {
    const Index first = first_channel(extent_, block);
    if (extent_.shape == Shape::planes && !kInPairs) {
      for (int s = 0; s < kSums; ++s) out_[s][first] = sum_of_positions<A>(lanes.sum[s], kLanes);
    } else if (extent_.shape == Shape::planes) {
      add_up(lanes, kLanes, 1, first);
    } else {
      for (Index c = 0; c < channels_of(extent_, block); ++c) {
        add_up(shifted(lanes, c), extent_.width < kLanes ? 2 : 1, extent_.width, first + c);
      }
    }
  }

  static Sums<kSums> shifted(Sums<kSums> sums, Index lanes) {
    for (double*& sum : sums.sum) sum += lanes;
    return sums;
  }

  // Those of `count` lanes, `apart` from each other, to the sums of a channel.
  void add_up(const Sums<kSums>& lanes, Index count, Index apart, Index channel) const {
    for (int s = 0; s < kSums; ++s) out_[s][channel] = lanes.sum[s][0];
    for (Index i = 1; i < count; ++i) {
      for (int s = 0; s < kSums; s += kInPairs ? 2 : 1) {
        if constexpr (kInPairs) {
          const SumAndError<double> high = two_sum(out_[s][channel], lanes.sum[s][i * apart]);
          out_[s][channel] = high.sum;
          out_[s + 1][channel] += high.error + lanes.sum[s + 1][i * apart];
        } else {
          out_[s][channel] += lanes.sum[s][i * apart];
        }
      }
    }
  }

  // In double, sums of positions would not keep their digits.
  bool has_small_planes() const {
    return std::is_same_v<Real, float> && extent_.shape == Shape::planes && extent_.lengths == nullptr &&
           summed_by_positions(extent_.positions, extent_.images) && streams_.direct();
  }

  void add_all_positions() {
    const Index length = extent_.positions;
    bool side_by_side = planes_adjoin(extent_, streams_);
    if constexpr (requires { streams_.mask; }) side_by_side = side_by_side && !streams_.mask.present();
    const Index band = kMaxLanes / length;
    for (Index first = 0; first < extent_.blocks; first += band) {
      const Index planes = extent_.blocks - first < band ? extent_.blocks - first : band;
      add_band(first, planes, side_by_side ? planes : 1);
    }
  }

  void add_band(Index first, Index planes, Index planes_of_row) {
    const Index length = extent_.positions;
    alignas(64) Real centers[kMaxLanes + kLanes];
    spread_over_positions<A>(center_ != nullptr ? center_ + first : nullptr, planes, length, centers);
    alignas(64) double sums[kSums][kSumsPitch];
    for (double* of_sum : sums) {
      for (Index i = 0; i < planes * length + kLanes; ++i) of_sum[i] = 0;
    }
    for (Index c = 0; c < planes; c += planes_of_row) {
      Sums<kSums> of_row;
      for (int s = 0; s < kSums; ++s) of_row.sum[s] = sums[s] + c * length;
      move_to(streams_, 0, first + c, 0);
      streams_.template with_images<Reduction>([&]<class Direct>(Direct, const auto& rows) {
        add_rows<A, Direct>(rows, extent_.images, planes_of_row * length, centers + c * length, of_row,
                            RowOrder::by_turns_of_images, extent_.reach);
      });
    }
    for (int s = 0; s < kSums; ++s) {
      for (Index c = 0; c < planes; ++c) out_[s][first + c] = sum_of_positions<A>(sums[s] + c * length, length);
    }
  }

  Rows<kSources, Real> staged_rows(const StagedColumn& column) const {
    Rows<kSources, Real> rows;
    for (int i = 0; i < kSources; ++i) {
      rows.data[i] = column.staged[i];
      rows.stride[i] = kLanes;
    }
    return rows;
  }

  // Ends the block at `elements`.
  void finish_block(StagedColumn& column, Index elements, const Real* center, const Sums<kSums>& sums) {
    if (elements == 0) return;
    const Index rows = elements / kLanes;
    const Index tail = elements % kLanes;
    add_column<A>(column_in_order<Reduction>(staged_rows(column), rows), rows, tail, center, sums, companion_,
                  Reach::own_cache);
  }

  void add_block_of_image(StagedColumn& column, Index block, Index positions, const Real* center,
                          const Sums<kSums>& sums) {
    const bool one_run = is_run(extent_, block, streams_);
    if (one_run && by_images_) return add_image(positions, center, sums);
    Vector coefficient[kCoefficients + 1];
    for (int i = 0; i < kCoefficients; ++i) coefficient[i] = lanes_of<A>(extent_, block, streams_.coefficient(i));
    if (one_run) {
      return add_run(column, run_elements(extent_, positions), coefficient, center, sums);
    }
    add_rows_of_block(column, block, positions, coefficient, center, sums);
  }

  // Of which not all lanes are channels, or that do not adjoin.
  [[gnu::flatten, gnu::noinline]] void add_rows_of_block(StagedColumn& column, Index block, Index positions,
                                                         const Vector* coefficient, const Real* center,
                                                         const Sums<kSums>& sums) {
    const Partial row{channels_of(extent_, block), extent_.width};
    Streams streams = streams_;
    step_by_rows(streams, 1);
    Index r = 0;
    for (; r + kTogether <= positions; r += kTogether, skip_rows(streams, kTogether)) {
      stage<kTogether, true>(streams, column, 0, row, coefficient, extent_.width);
      advance(column, kTogether * extent_.width, center, sums);
    }
    for (; r < positions; ++r, skip_rows(streams, 1)) {
      stage<1, true>(streams, column, 0, row, coefficient, extent_.width);
      advance(column, extent_.width, center, sums);
    }
  }

  [[gnu::flatten, gnu::noinline]] void add_run(StagedColumn& column, Index elements, const Vector* coefficient,
                                               const Real* center, const Sums<kSums>& sums) {
    Index i = 0;
    while (i < elements) {
      const Index left = elements - i;
      if (left >= kTogether * kLanes) {
        stage<kTogether, false>(streams_, column, i, {kLanes, kLanes}, coefficient, kLanes);
        i += kTogether * kLanes;
        advance(column, kTogether * kLanes, center, sums);
      } else {
        const Index count = left < kLanes ? left : kLanes;
        stage<1, true>(streams_, column, i, {count, count}, coefficient, kLanes);
        i += count;
        advance(column, count, center, sums);
      }
    }
  }

  // Vectors `apart` elements apart. Where they overlap, what is behind the channels of one is under the next.
  template <int kCount, bool kPartial>
  void stage(const Streams& streams, StagedColumn& column, Index i, const Partial& partial, const Vector* coefficient,
             Index apart) {
    Vector out[kSources * kCount];
    streams.template stage<kCount, kPartial>(i, partial, coefficient, out);
    for (int s = 0; s < kSources; ++s) {
      for (int k = 0; k < kCount; ++k) out[s * kCount + k].store(column.staged[s] + column.filled + k * apart);
    }
  }

  void advance(StagedColumn& column, Index elements, const Real* center, const Sums<kSums>& sums) {
    column.filled += elements;
    if (column.filled < kStrip) return;
    finish_block(column, kStrip, center, sums);
    column.filled -= kStrip;
    for (Real* staged : column.staged) {
      for (Index i = 0; i < column.filled; ++i) staged[i] = staged[kStrip + i];
    }
  }

  // Rows: each channel, or each of the positions that are folded into one row, has a lane of its own.
  void add_all_rows() {
    const Index count = valid_elements(extent_);
    const Index fold = extent_.fold;
    const Index lanes = extent_.channels * fold;
    alignas(64) Real centers[kMaxLanes];
    alignas(64) double sums[kSums][kSumsPitch];
    Sums<kSums> all;
    for (int s = 0; s < kSums; ++s) all.sum[s] = fold > 1 ? sums[s] : out_[s];
    begin_rows(center_, extent_.channels, lanes, centers, all);
    const Index whole = count / fold;
    const RowOrder order = extent_.narrow ? RowOrder::consecutive : RowOrder::by_turns;
    const bool one_run =
        fold == 1 || (tensors_adjoin(extent_.channels, streams_) && count * extent_.channels <= kMostBits);
    if (streams_.direct() && one_run && extent_.images == 1 && extent_.lengths == nullptr) {
      move_to(streams_, 0, 0, 0);
      BitsOfVectors<const std::uint8_t> bits;
      streams_.template with_rows<Reduction>([&]<class Direct>(Direct, const auto& rows) {
        auto folded = every(fold, rows);
        if constexpr (requires { folded.mask; }) {
          if (fold > 1 && extent_.channels % 8 != 0) {
            bits.begin(folded.mask, rows.mask_stride, count, extent_.channels, 0);
            folded.mask = bits.of_vectors();
            folded.mask_stride = lanes / 8;
          }
        }
        add_rows<A, Direct>(folded, whole, lanes, centers, all, order, extent_.reach);
      });
    } else {
      const Blocks blocks = blocks_of_rows<Reduction>(whole, order);
      for (Index block = 0; block < blocks.count; ++block) {
        add_rows_of_block(blocks.first(block), blocks.distance(), blocks.rows(block), fold, centers, all);
      }
    }
    const Index left = count - whole * fold;
    if (left > 0) add_rows_of_block(whole, 1, 1, left, centers, all);
    if (fold == 1) return;
    for (Index c = 0; c < extent_.channels; ++c) add_up(shifted(all, c), fold, extent_.channels, c);
  }

  // `rows` rows of `fold` positions, from row `first` on and `distance` apart.
  void add_rows_of_block(Index first, Index distance, Index rows, Index fold, const Real* centers,
                         const Sums<kSums>& all) {
    constexpr Index kPitch = kStagedLanes + kLanes;
    alignas(64) Real staged[kSources][Reduction::kRowsAtOnce * kPitch];
    const Index step = extent_.fold > 1 ? extent_.channels : kStagedLanes;
    for (Index c = 0; c < extent_.channels; c += step) {
      const Index channels = extent_.channels - c < step ? extent_.channels - c : step;
      Index r = 0;
      if (extent_.fold == 1 && extent_.images == 1) {
        for (; r + kTogether <= rows; r += kTogether) {
          move_to(streams_, 0, 0, first + r * distance);
          stage_rows<kTogether>(c, channels, distance, staged, r * kPitch);
        }
      }
      for (; r < rows; ++r) {
        for (Index p = 0; p < fold; ++p) {
          move_to_valid((first + r * distance) * extent_.fold + p);
          stage_rows<1>(c, channels, distance, staged, r * kPitch + p * channels);
        }
      }
      Rows<kSources, Real> source;
      for (int s = 0; s < kSources; ++s) {
        source.data[s] = staged[s];
        source.stride[s] = kPitch;
      }
      add_rows<A, Reduction>(source, rows, channels * fold, centers + c, shifted(all, c), RowOrder::by_turns,
                             Reach::own_cache);
    }
  }

  // kRows rows, `distance` apart, from the one that the streams are at.
  template <int kRows>
  [[gnu::flatten, gnu::noinline]] void stage_rows(
      Index first, Index channels, Index distance,
      Real (&staged)[kSources][Reduction::kRowsAtOnce * (kStagedLanes + kLanes)], Index offset) const {
    constexpr Index kPitch = kStagedLanes + kLanes;
    Streams streams = streams_;
    step_by_rows(streams, distance);
    Vector coefficient[kCoefficients + 1];
    for (Index lane = 0; lane < channels; lane += kLanes) {
      const Index count = channels - lane < kLanes ? channels - lane : kLanes;
      for (int i = 0; i < kCoefficients; ++i) {
        const Real* const values = streams.coefficient(i);
        coefficient[i] = values != nullptr ? Vector::load_first(values + first + lane, count) : Vector::all(0);
      }
      Vector out[kSources * kRows];
      if (count == kLanes) {
        streams.template stage<kRows, false>(first + lane, {count, count}, coefficient, out);
      } else {
        streams.template stage<kRows, true>(first + lane, {count, count}, coefficient, out);
      }
#pragma GCC unroll 2
      for (int s = 0; s < kSources; ++s) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) out[s * kRows + r].store(staged[s] + offset + r * kPitch + lane);
      }
    }
  }

  void move_to_valid(Index index) {
    if (extent_.images == 1) return move_to(streams_, 0, 0, index);
    if (extent_.lengths == nullptr) {
      return move_to(streams_, index / extent_.positions, 0, index % extent_.positions);
    }
    Index image = 0;
    for (; index >= valid_positions(extent_, image); ++image) index -= valid_positions(extent_, image);
    move_to(streams_, image, 0, index);
  }

  Streams streams_;
  Streams next_;  // where reading goes on after the block at hand
  FusedExtent extent_;
  const bool by_images_;  // whether no block goes on in the next image
  const Real* center_;
  double* const (&out_)[kSums];
  Companion& companion_;
};

// Sums of a tile's streams, about `center` (null: 0), an array for each sum.
template <class A, class Reduction, class Streams, class Companion>
inline void accumulate(const Streams& streams, const FusedExtent& extent, const typename Reduction::Real* center,
                       double (&sums)[Reduction::kSums][kSumsPitch], Companion& companion) {
  double* arrays[Reduction::kSums];
  for (int i = 0; i < Reduction::kSums; ++i) arrays[i] = sums[i];
  FusedAccumulation<A, Reduction, Streams, Companion>(streams, extent, center, arrays, companion).run();
}

}  // namespace
}  // namespace xbn::kernels
