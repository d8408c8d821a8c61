#pragma once

// The interleaved family: rows of consecutive channels of one position (nc, nwc, nhwc, ndhwc). Rows of fewer than 16
// channels are folded: several positions make one row of lanes. Rows that lie evenly in memory are used where they are;
// a block of rows that does not is packed first, so that the pitch changes no sum.

#include "kernels/column_sums.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/pivots.hpp"
#include "kernels/row_sums.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

// Channels packed at a time; no fewer than a folded row has lanes.
inline constexpr Index kPackedLanes = 256;

template <class A>
struct Interleaved {
  static void moments(const RowsSource& x, const RowsExtent& extent, const MomentsOut& out) {
    alignas(64) float pivot[kMaxLanes];
    find_pivots(x, extent, pivot);
    alignas(64) double sums[2][kSumsPitch];
    accumulate<MomentsReduction>({{x}}, extent, pivot, {{sums[0], sums[1]}});
    unsigned char again[kMaxLanes];
    if (!finish_moments(extent.channels, extent.count, pivot, sums[0], sums[1], out, again)) return;
    for_each_marked(extent, again, [&](Index first, Index count, const unsigned char* marked) {
      moments_in_double(x, extent, first, count, marked, out);
    });
  }

  template <class Gradients = GradientReduction>
  static void gradient_sums(const RowsSource& x, const RowsSource& dy, const RowsExtent& extent, const float* mean,
                            const GradientSumsOut& out) {
    alignas(64) double sums[3][kSumsPitch];
    if (x.data == nullptr) {
      accumulate<SumReduction>({{dy}}, extent, nullptr, {{sums[0]}});
      for (Index c = 0; c < extent.channels; ++c) out.dy[c] = sums[0][c];
      return;
    }
    // Beyond the caches whole registers are faster in any case.
    if (extent.reach == Reach::memory) {
      accumulate<GradientReduction>({{dy, x}}, extent, mean, {{sums[0], sums[1], sums[2]}});
    } else {
      accumulate<Gradients>({{dy, x}}, extent, mean, {{sums[0], sums[1], sums[2]}});
    }
    for (Index c = 0; c < extent.channels; ++c) {
      out.dy[c] = sums[0][c];
      out.dy_x[c] = sums[1][c];
      out.x[c] = sums[2][c];
    }
  }

  static void apply(const RowsSource& x, const RowsDestination& y, const RowsExtent& extent, const Affine& affine,
                    Store store) {
    with_operation(x, affine, [&](const auto& sources, const auto& coefficients) {
      run(sources, y, extent, coefficients, store);
    });
  }

  static void gradient_apply(const RowsSource& x, const RowsSource& dy, const RowsDestination& dx,
                             const RowsExtent& extent, const GradientAffine& affine, Store store) {
    with_operation(x, dy, affine, [&](const auto& sources, const auto& coefficients) {
      run(sources, dx, extent, coefficients, store);
    });
  }

 private:
  template <int kCount>
  using Sources = SourcesOf<RowsSource, kCount>;

  // Whether all rows of the tensor are row_pitch apart.
  template <class Tensor>
  static bool even(const Tensor& tensor) {
    return tensor.batch_pitch == tensor.spatial * tensor.row_pitch;
  }

  template <class Tensor>
  static auto* row(const Tensor& tensor, Index index) {
    if (even(tensor)) return tensor.data + index * tensor.row_pitch;  // no division: a small tensor feels it
    return tensor.data + (index / tensor.spatial) * tensor.batch_pitch + (index % tensor.spatial) * tensor.row_pitch;
  }

  // Rows from `index` on that are row_pitch apart.
  template <class Tensor>
  static Index even_rows(const Tensor& tensor, Index index) {
    constexpr Index kAll = Index{1} << 62;
    return even(tensor) ? kAll : tensor.spatial - index % tensor.spatial;
  }

  // Whether the lanes of a row, folded or not, are consecutive in memory.
  template <class Tensor>
  static bool lanes_consecutive(const Tensor& tensor, const RowsExtent& extent) {
    return tensor.channel_pitch == 1 && (extent.fold == 1 || tensor.row_pitch == extent.channels);
  }

  static RowOrder order(const RowsExtent& extent) { return extent.narrow ? RowOrder::consecutive : RowOrder::by_turns; }

  static Index smaller(Index a, Index b) { return a < b ? a : b; }

  static void find_pivots(const RowsSource& x, const RowsExtent& extent, float* pivot) {
    const float* place[kLanes];
    for (Index i = 0; i < kLanes; ++i) {
      place[i] = row(x, extent.first + sample_place(i, extent.count));
    }
    if (x.channel_pitch == 1) {
      for (const float* from : place) {
        for (Index c = 0; c < extent.channels; c += kLanes) prefetch(from + c);
      }
    }
    for (Index c = 0; c < extent.channels; c += kLanes) {
      const Index lanes = smaller(kLanes, extent.channels - c);
      Lanes<A> sample[kLanes];
      for (Index i = 0; i < kLanes; ++i) sample[i] = load(place[i] + c * x.channel_pitch, lanes, x.channel_pitch);
      mean_of_samples<A, float>(sample).store_first(pivot + c, lanes);
    }
  }

  static Lanes<A> load(const float* from, Index lanes, Index pitch) {
    if (pitch == 1) return Lanes<A>::load_first(from, lanes);
    alignas(64) float gathered[kLanes] = {};
    for (Index i = 0; i < lanes; ++i) gathered[i] = from[i * pitch];
    return Lanes<A>::load(gathered);
  }

  // Sums of every channel over the tile; `center` null stands for zeros.
  template <class Reduction>
  static void accumulate(const Sources<Reduction::kSources>& sources, const RowsExtent& extent, const float* center,
                         const Sums<Reduction::kSums>& sums) {
    const Index lanes = extent.channels * extent.fold;
    alignas(64) float centers[kMaxLanes];
    begin_rows(center, extent.channels, lanes, centers, sums);
    bool evenly = true;
    for (const RowsSource& source : sources.of) {
      evenly = evenly && lanes_consecutive(source, extent) && even_rows(source, extent.first) >= extent.count;
    }
    const Index whole = extent.count / extent.fold;
    const Index left = extent.count - whole * extent.fold;
    if (evenly) {
      Rows<Reduction::kSources> rows;
      for (int i = 0; i < Reduction::kSources; ++i) {
        rows.data[i] = row(sources.of[i], extent.first);
        rows.stride[i] = sources.of[i].row_pitch * extent.fold;
      }
      add<Reduction>(rows, extent, whole, lanes, centers, sums);
      if (left > 0) add<Reduction>(shifted(rows, whole, 0), extent, 1, left * extent.channels, centers, sums);
    } else {
      if (extent.column) {
        for (Index first = 0; first < whole; first += kBlockRows) {
          add_packed<Reduction>(sources, extent, first, 1, smaller(kBlockRows, whole - first), extent.fold, centers,
                                sums);
        }
      } else {
        const Blocks blocks = blocks_of_rows<Reduction>(whole, order(extent));
        for (Index block = 0; block < blocks.count; ++block) {
          add_packed<Reduction>(sources, extent, blocks.first(block), blocks.distance(), blocks.rows(block),
                                extent.fold, centers, sums);
        }
      }
      if (left > 0) add_packed<Reduction>(sources, extent, whole, 1, 1, left, centers, sums);
    }
    if (extent.fold > 1) {
      for (double* sum : sums.sum) {
        for (Index first = extent.channels; first < lanes; first += extent.channels) {
          for (Index c = 0; c < extent.channels; ++c) sum[c] += sum[first + c];
        }
      }
    }
  }

  template <class Reduction>
  static void add(const Rows<Reduction::kSources>& rows, const RowsExtent& extent, Index count, Index lanes,
                  const float* center, const Sums<Reduction::kSums>& sums) {
    if (extent.column && lanes == kLanes) {
      Alone alone;
      add_column<A>(column_in_order<Reduction>(rows, count), count, 0, center, sums, alone, extent.reach);
    } else {
      add_rows<A, Reduction>(rows, count, lanes, center, sums, order(extent), extent.reach);
    }
  }

  // The same for `rows` rows of lanes, from `first` on and `distance` apart, of `fold` positions each, through a copy
  // in which they lie evenly.
  template <class Reduction>
  static void add_packed(const Sources<Reduction::kSources>& sources, const RowsExtent& extent, Index first,
                         Index distance, Index rows, Index fold, const float* center,
                         const Sums<Reduction::kSums>& sums) {
    constexpr int kSources = Reduction::kSources;
    alignas(64) float packed[kSources][kBlockRows * kPackedLanes];
    const Index step = extent.fold > 1 ? extent.channels : kPackedLanes;
    for (Index c = 0; c < extent.channels; c += step) {
      const Index channels = smaller(step, extent.channels - c);
      Rows<kSources> copy;
      for (int i = 0; i < kSources; ++i) {
        const RowsSource& source = sources.of[i];
        for (Index p = 0; p < rows * fold; ++p) {
          const Index position = (first + p / fold * distance) * extent.fold + p % fold;
          const float* from = row(source, extent.first + position) + c * source.channel_pitch;
          for (Index k = 0; k < channels; ++k) packed[i][p * channels + k] = from[k * source.channel_pitch];
        }
        copy.data[i] = packed[i];
        copy.stride[i] = channels * fold;
      }
      Sums<Reduction::kSums> of_channels = sums;
      for (double*& sum : of_channels.sum) sum += c;
      add<Reduction>(copy, extent, rows, channels * fold, center + c, of_channels);
    }
  }

  // Calls redo(first channel, count, marks) for groups of up to 16 channels of which one is marked.
  template <class Redo>
  static void for_each_marked(const RowsExtent& extent, const unsigned char* marked, Redo redo) {
    for (Index c = 0; c < extent.channels; c += kLanes) {
      const Index count = smaller(kLanes, extent.channels - c);
      bool any = false;
      for (Index i = 0; i < count; ++i) any = any || marked[c + i] != 0;
      if (any) redo(c, count, marked + c);
    }
  }

  static void moments_in_double(const RowsSource& x, const RowsExtent& extent, Index first, Index channels,
                                const unsigned char* marked, const MomentsOut& out) {
    const auto count = static_cast<double>(extent.count);
    double near[kLanes] = {};
    for (Index r = 0; r < extent.count; ++r) {
      const float* from = row(x, extent.first + r) + first * x.channel_pitch;
      for (Index c = 0; c < channels; ++c) near[c] += static_cast<double>(from[c * x.channel_pitch]);
    }
    for (double& mean : near) mean /= count;
    double sum[kLanes] = {};
    double sum_squares[kLanes] = {};
    for (Index r = 0; r < extent.count; ++r) {
      const float* from = row(x, extent.first + r) + first * x.channel_pitch;
      for (Index c = 0; c < channels; ++c) {
        const double deviation = static_cast<double>(from[c * x.channel_pitch]) - near[c];
        sum[c] += deviation;
        sum_squares[c] += deviation * deviation;
      }
    }
    for (Index c = 0; c < channels; ++c) {
      if (marked[c] == 0) continue;
      const double m2 = sum_squares[c] - sum[c] * (sum[c] / count);
      out.mean[first + c] = near[c] + sum[c] / count;
      out.m2[first + c] = m2 < 0 ? 0 : m2;
    }
  }

  template <class Tensor>
  static bool dense(const Tensor& tensor, const RowsExtent& extent) {
    return tensor.channel_pitch == 1 && tensor.row_pitch == extent.channels;
  }

  // Dense rows of few channels are taken several at a time.
  template <class Operation>
  static void run(const Sources<Operation::kSources>& sources, const RowsDestination& destination,
                  const RowsExtent& extent, const Coefficients<Operation>& coefficients, Store store) {
    bool all_dense = dense(destination, extent);
    bool unit_pitch = destination.channel_pitch == 1;
    for (const RowsSource& source : sources.of) {
      all_dense = all_dense && dense(source, extent);
      unit_pitch = unit_pitch && source.channel_pitch == 1;
    }
    if (!unit_pitch) return run_gathered<Operation>(sources, destination, extent, coefficients);
    const Index fold = kRepeatedLanes / extent.channels / extent.fold * extent.fold;
    if (fold < 2 || !all_dense || extent.count < 2 * fold) {
      return run_rows<Operation>(sources, destination, extent, 1, coefficients, store);
    }
    const RepeatedCoefficients<float, Operation::kCoefficients> repeated(coefficients.of, extent.channels, fold);
    Coefficients<Operation> of_lanes;
    for (int i = 0; i < Operation::kCoefficients; ++i) of_lanes.of[i] = repeated.of(i);
    run_rows<Operation>(sources, destination, extent, fold, of_lanes, store);
  }

  // Rows of `fold` positions, and one of what is left over at the end of each even stretch.
  template <class Operation>
  static void run_rows(const Sources<Operation::kSources>& sources, const RowsDestination& destination,
                       const RowsExtent& extent, Index fold, const Coefficients<Operation>& coefficients, Store store) {
    for (Index done = 0; done < extent.count;) {
      const Index index = extent.first + done;
      Index even = smaller(extent.count - done, even_rows(destination, index));
      for (const RowsSource& source : sources.of) even = smaller(even, even_rows(source, index));
      RowStreams<Operation> rows;
      for (int i = 0; i < Operation::kSources; ++i) {
        rows.first.source[i] = row(sources.of[i], index);
        rows.source_stride[i] = sources.of[i].row_pitch * fold;
      }
      rows.first.destination = row(destination, index);
      rows.destination_stride = destination.row_pitch * fold;
      const Index whole = even / fold;
      const Index lanes = extent.channels * fold;
      const bool aligned = misaligned_elements(rows.first.destination) == 0 && rows.destination_stride % kLanes == 0;
      if (store == Store::streaming && aligned) {
        apply_rows<A, Operation, Store::streaming>(rows, whole, lanes, coefficients);
      } else if (store == Store::streaming && whole > 1 && adjoin(rows, lanes)) {
        apply_dense_rows<A, Operation, Store::streaming>(rows.first, whole, lanes, coefficients);
      } else if (lanes % kLanes != 0 && whole > 1 && adjoin(rows, lanes)) {
        apply_dense_rows<A, Operation, Store::ordinary>(rows.first, whole, lanes, coefficients);
      } else {
        apply_rows<A, Operation, Store::ordinary>(rows, whole, lanes, coefficients);
      }
      const Index left = even - whole * fold;
      if (left > 0) {
        rows.first = rows.row(whole);
        apply_rows<A, Operation, Store::ordinary>(rows, 1, extent.channels * left, coefficients);
      }
      done += even;
    }
  }

  // Whether rows are one run, and none is shorter than a vector.
  template <class Operation>
  static bool adjoin(const RowStreams<Operation>& rows, Index lanes) {
    bool result = lanes >= kLanes && rows.destination_stride == lanes;
    for (const Index stride : rows.source_stride) result = result && stride == lanes;
    return result;
  }

  // Channels that are not consecutive: gathered, computed and scattered 16 at a time.
  template <class Operation>
  static void run_gathered(const Sources<Operation::kSources>& sources, const RowsDestination& destination,
                           const RowsExtent& extent, const Coefficients<Operation>& coefficients) {
    for (Index r = 0; r < extent.count; ++r) {
      const Index index = extent.first + r;
      for (Index c = 0; c < extent.channels; c += kLanes) {
        const Index lanes = smaller(kLanes, extent.channels - c);
        Lanes<A> source[Operation::kSources];
        for (int i = 0; i < Operation::kSources; ++i) {
          const Index pitch = sources.of[i].channel_pitch;
          source[i] = load(row(sources.of[i], index) + c * pitch, lanes, pitch);
        }
        Lanes<A> coefficient[Operation::kCoefficients];
        for (int i = 0; i < Operation::kCoefficients; ++i) {
          coefficient[i] = Lanes<A>::load_first(coefficients.of[i] + c, lanes);
        }
        alignas(64) float result[kLanes];
        Operation::template compute<A>(source, coefficient).store(result);
        float* to = row(destination, index) + c * destination.channel_pitch;
        for (Index i = 0; i < lanes; ++i) to[i * destination.channel_pitch] = result[i];
      }
    }
  }
};

}  // namespace
}  // namespace xbn::kernels
