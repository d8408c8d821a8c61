#pragma once

// Sums over a tile of any type and shape: what is summed is first staged, in the type that it is computed in, as rows
// of 16 lanes in the first cache, void positions left out. Elements of a run follow each other across images, so that
// small planes and sequences leave no parts of vectors. Where elements lie in memory as they would be staged, they are
// summed where they are. A companion (see companions.hpp) may go along with planes and blocks.

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

  // `center` null: 0. Each array of `sums` has a place for each channel, up to a multiple of 16 and of the rows' lanes.
  FusedAccumulation(const Streams& streams, const FusedExtent& extent, const Real* center, double* const (&sums)[kSums],
                    Companion& companion)
      : streams_(streams),
        next_(streams),
        extent_(with_rows_of_one_image(extent, streams_)),
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

  // Reductions that do not mind in which blocks rows are have none open.
  struct NoBlock {};
  using OpenBlock = std::conditional_t<Reduction::kParityMatters, typename Reduction::template Block<A>, NoBlock>;

  // The block at hand of a column of lanes: its first rows may have been added where they lay, those behind are staged.
  struct StagedColumn {
    alignas(64) Real staged[kSources][kStrip + kTogether * kLanes];
    Index filled = 0;  // elements of the block
    Index added = 0;   // rows of them that are in `open`
    OpenBlock open;
  };

  void add_all_blocks() {
    alignas(64) double lanes[kSums][kMaxGroup * kLanes] = {};
    StagedColumn columns[kMaxGroup];
    alignas(64) Real centers[kMaxGroup * kLanes];
    for (Index b = 0; b < extent_.blocks; ++b) lanes_of<A>(extent_, b, center_).store(centers + b * kLanes);
    const auto sums_of = [&](Index b) {
      Sums<kSums> sums;
      for (int i = 0; i < kSums; ++i) sums.sum[i] = lanes[i] + b * kLanes;
      return sums;
    };
    const Reading reading{extent_.images, extent_.blocks, extent_.positions, extent_.part};
    for (Index n = 0; n < extent_.images; ++n) {
      const Index valid = valid_positions(extent_, n);
      for (Index b = 0; b < extent_.blocks; ++b) {
        const Place next = reading.after(n, b);
        move_to(next_, next.image, next.block, next.position);
        move_to(streams_, n, b, 0);
        add_block_of_image(columns[b], b, valid, centers + b * kLanes, sums_of(b));
      }
    }
    for (Index b = 0; b < extent_.blocks; ++b) {
      finish_block(columns[b], columns[b].filled, centers + b * kLanes, sums_of(b));
    }
    for (int i = 0; i < kSums; ++i) {
      for (Index b = 0; b < extent_.blocks; ++b) gather(lanes[i] + b * kLanes, b, out_[i] + first_channel(extent_, b));
    }
  }

  // From a block's lanes to its channels.
  void gather(const double* lanes, Index block, double* sums) const {
    if (extent_.shape == Shape::planes) {
      sums[0] = sum_of_positions<A>(lanes, kLanes);
      return;
    }
    for (Index c = 0; c < channels_of(extent_, block); ++c) {
      sums[c] = extent_.width < kLanes ? lanes[c] + lanes[c + extent_.width] : lanes[c];
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

  Rows<kSources, Real> staged_rows(const StagedColumn& column, Index first) const {
    Rows<kSources, Real> rows;
    for (int i = 0; i < kSources; ++i) {
      rows.data[i] = column.staged[i] + first * kLanes;
      rows.stride[i] = kLanes;
    }
    return rows;
  }

  // Ends the block at `elements`.
  void finish_block(StagedColumn& column, Index elements, const Real* center, const Sums<kSums>& sums) {
    const Index rows = elements / kLanes;
    const Index tail = elements % kLanes;
    if constexpr (Reduction::kParityMatters) {
      if (column.added > 0) {
        companion_.work(rows - column.added);
        add_staged(column, rows, center);
        if (tail > 0) add_tail_to_block<A, Reduction>(staged_rows(column, rows), tail, center, column.open);
        column.open.finish(sums.sum, 0);
        column.open = {};
        column.added = 0;
        return;
      }
    }
    add_column<A>(column_in_order<Reduction>(staged_rows(column, 0), rows), rows, tail, center, sums, companion_,
                  Reach::own_cache);
  }

  void add_block_of_image(StagedColumn& column, Index block, Index positions, const Real* center,
                          const Sums<kSums>& sums) {
    Vector coefficient[kCoefficients + 1];
    for (int i = 0; i < kCoefficients; ++i) coefficient[i] = lanes_of<A>(extent_, block, streams_.coefficient(i));
    if (is_run(extent_, block, streams_)) {
      return add_run(column, run_elements(extent_, positions), coefficient, center, sums);
    }
    const Partial row{channels_of(extent_, block), extent_.width};
    for (Index r = 0; r < positions; ++r) {
      move_row(r);
      stage<1, true>(column, 0, row, coefficient);
      move_row(-r);
      advance(column, extent_.width, center, sums);
    }
  }

  void move_row(Index rows) {
    streams_.for_each_tensor([&](auto& stream) { stream.advance(rows * stream.row_pitch); });
    if constexpr (requires { streams_.mask; }) streams_.mask.advance(rows * streams_.mask.row_pitch);
  }

  [[gnu::flatten, gnu::noinline]] void add_run(StagedColumn& column, Index elements, const Vector* coefficient,
                                               const Real* center, const Sums<kSums>& sums) {
    Index i = 0;
    while (i < elements) {
      const Index left = elements - i;
      if (streams_.direct() && column.filled % kLanes == 0 && left >= kLanes) {
        i += add_direct(column, i, left / kLanes, center, sums) * kLanes;
        continue;
      }
      if (left >= kTogether * kLanes) {
        stage<kTogether, false>(column, i, {kLanes, kLanes}, coefficient);
        i += kTogether * kLanes;
        advance(column, kTogether * kLanes, center, sums);
      } else {
        const Index count = left < kLanes ? left : kLanes;
        stage<1, true>(column, i, {count, count}, coefficient);
        i += count;
        advance(column, count, center, sums);
      }
    }
  }

  // Adds the block's rows up to `rows` that are staged.
  void add_staged(StagedColumn& column, Index rows, const Real* center) {
    add_to_block<A>(column_in_order<Reduction>(staged_rows(column, column.added), rows - column.added), column.added,
                    rows - column.added, center, column.open, Reach::own_cache);
  }

  // Calls with(the column of the last `rows` rows of a run, where they lie, from element i on).
  template <class With>
  void with_column(Index i, Index rows, const With& with) const {
    streams_.template with_consecutive<Reduction>(i, [&]<class Direct>(Direct, const auto& lying) {
      Column<Direct> column{lying, rows, {}};
      next_.template with_consecutive<Reduction>(0, [&](auto, const auto& next) {
        for (int s = 0; s < kSources; ++s) column.next[s] = next.data[s];
      });
      with(column);
    });
  }

  // Adds up to `rows` rows of a run where they lie, from element i on, and returns how many. All that the column has so
  // far is whole rows.
  Index add_direct(StagedColumn& column, Index i, Index rows, const Real* center, const Sums<kSums>& sums) {
    const auto add_rows_of_column = [&](Index count) {
      with_column(i, rows,
                  [&](const auto& lying) { add_column<A>(lying, count, 0, center, sums, companion_, extent_.reach); });
      return count;
    };
    if constexpr (!Reduction::kParityMatters) {
      if (column.filled > 0) finish_block(column, column.filled, center, sums);
      column.filled = 0;
      return add_rows_of_column(rows);
    } else {
      if (column.filled == 0 && rows >= kBlockRows) return add_rows_of_column(rows / kBlockRows * kBlockRows);
      const Index before = column.filled / kLanes;
      const Index count = rows < kBlockRows - before ? rows : kBlockRows - before;
      add_staged(column, before, center);
      with_column(i, rows, [&](const auto& lying) {
        add_to_block<A>(lying, before, count, center, column.open, extent_.reach);
      });
      companion_.work(before + count - column.added);
      column.added = before + count;
      column.filled = column.added * kLanes;
      if (column.added == kBlockRows) {
        finish_block(column, kStrip, center, sums);
        column.filled = 0;
      }
      return count;
    }
  }

  template <int kCount, bool kPartial>
  void stage(StagedColumn& column, Index i, const Partial& partial, const Vector* coefficient) {
    Vector out[kSources * kCount];
    streams_.template stage<kCount, kPartial>(i, partial, coefficient, out);
    for (int s = 0; s < kSources; ++s) {
      for (int k = 0; k < kCount; ++k) out[s * kCount + k].store(column.staged[s] + column.filled + k * kLanes);
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
    const bool one_run = fold == 1 || rows_adjoin(extent_.channels, streams_);
    if (streams_.direct() && one_run && extent_.images == 1 && extent_.lengths == nullptr) {
      move_to(streams_, 0, 0, 0);
      streams_.template with_rows<Reduction>([&]<class Direct>(Direct, const auto& rows) {
        add_rows<A, Direct>(every(fold, rows), whole, lanes, centers, all, order, extent_.reach);
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
    for (int s = 0; s < kSums; ++s) {
      for (Index c = 0; c < extent_.channels; ++c) {
        out_[s][c] = sums[s][c];
        for (Index p = 1; p < fold; ++p) out_[s][c] += sums[s][c + p * extent_.channels];
      }
    }
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
      Sums<kSums> sums = all;
      for (double*& sum : sums.sum) sum += c;
      add_rows<A, Reduction>(source, rows, channels * fold, centers + c, sums, RowOrder::by_turns, Reach::own_cache);
    }
  }

  // kRows rows, `distance` apart, from the one that the streams are at.
  template <int kRows>
  [[gnu::flatten, gnu::noinline]] void stage_rows(
      Index first, Index channels, Index distance,
      Real (&staged)[kSources][Reduction::kRowsAtOnce * (kStagedLanes + kLanes)], Index offset) const {
    constexpr Index kPitch = kStagedLanes + kLanes;
    Streams streams = streams_;
    streams.for_each_tensor([&](auto& stream) { stream.step = distance * stream.row_pitch; });
    if constexpr (requires { streams.mask; }) streams.mask.step = distance * streams.mask.row_pitch;
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
  const Real* center_;
  double* const (&out_)[kSums];
  Companion& companion_;
};

}  // namespace
}  // namespace xbn::kernels
