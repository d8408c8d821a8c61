#pragma once

// The apply passes of the planar family: alone, or beside the sums of another slab.

#include "kernels/companions.hpp"

namespace xbn::kernels {
namespace {

// Fewer planes than this are not worth repeating coefficients for.
inline constexpr Index kFewPlanes = 4;

template <class Tensor>
inline auto* plane(const Tensor& tensor, Index n, Index c) {
  return tensor.data + n * tensor.plane_pitch + c * tensor.channel_pitch;
}

// One operation on one tile.
template <class Operation>
struct PlanarTile {
  SourcesOf<PlanarSource, Operation::kSources> sources;
  PlanarDestination destination;
  PlanarExtent extent;
  Coefficients<Operation> coefficients;

  Streams<Operation> streams(Index n, Index c) const {
    Streams<Operation> result;
    for (int i = 0; i < Operation::kSources; ++i) {
      result.source[i] = plane(sources.of[i], n, c);
      result.ahead[i] = sources.of[i].ahead;
    }
    result.destination = plane(destination, n, c);
    return result;
  }

  template <class A>
  void broadcast(Index c, Lanes<A>* coefficient) const {
    for (int i = 0; i < Operation::kCoefficients; ++i) coefficient[i] = Lanes<A>::all(coefficients.of[i][c]);
  }

  // Whether an image's planes lie side by side.
  bool side_by_side() const {
    bool result = destination.channel_pitch == extent.length;
    for (const PlanarSource& source : sources.of) result = result && source.channel_pitch == extent.length;
    return result;
  }
};

// Small planes that lie side by side, of some of a tile's channels: one row, with coefficients repeated for every
// position.
template <class A, class Operation>
class PlanarBand {
 public:
  PlanarBand(const PlanarTile<Operation>& tile, Index first, Index channels) : lanes_(channels * tile.extent.length) {
    const Index length = tile.extent.length;
    for (int i = 0; i < Operation::kCoefficients; ++i) {
      for (Index c = 0; c < channels; ++c) {
        const Lanes<A> value = Lanes<A>::all(tile.coefficients.of[i][first + c]);
        float* const to = repeated_[i] + c * length;
        for (Index p = 0; p < length; p += kLanes) value.store(to + p);
      }
      coefficients_.of[i] = repeated_[i];
    }
    rows_.first = tile.streams(0, first);
    for (int i = 0; i < Operation::kSources; ++i) rows_.source_stride[i] = tile.sources.of[i].plane_pitch;
    rows_.destination_stride = tile.destination.plane_pitch;
  }

  // Whether every row can be streamed.
  bool aligned() const {
    return misaligned_elements(rows_.first.destination) == 0 && rows_.destination_stride % kLanes == 0;
  }

  const RowStreams<Operation>& rows() const { return rows_; }
  const Coefficients<Operation>& coefficients() const { return coefficients_; }
  Index lanes() const { return lanes_; }

 private:
  alignas(64) float repeated_[Operation::kCoefficients][kMaxLanes + kLanes];
  Coefficients<Operation> coefficients_;
  RowStreams<Operation> rows_;
  Index lanes_;
};

template <class A, class Operation, Store kStore>
struct PlanarApply {
  using Tile = PlanarTile<Operation>;

  static void run(const Tile& tile) {
    const PlanarExtent& extent = tile.extent;
    const bool as_run = extent.length % kLanes != 0 || extent.length < kSmallPlane ||
                        (kStore == Store::streaming && extent.planes >= kImages);
    if (as_run && extent.channels > 1 && tile.side_by_side()) {
      if (extent.length >= kLanes) {
        // Four images a quarter of the tile apart: streams that prefetchers follow side by side.
        const Index quarter = extent.planes / kImages;
        const bool stream_alike = quarter * tile.destination.plane_pitch % kLanes == 0;
        Index n = 0;
        if (kStore == Store::ordinary || stream_alike) {
          for (; n < quarter; ++n) run_images<kImages>(tile, n, quarter);
          n = quarter * kImages;
        }
        for (; n < extent.planes; ++n) run_images<1>(tile, n, 0);
        return;
      }
      if (extent.planes >= kFewPlanes) return run_bands(tile);
    }
    for (Index n = 0; n < extent.planes; ++n) {
      for (Index c = 0; c < extent.channels; ++c) {
        Lanes<A> coefficient[Operation::kCoefficients];
        tile.broadcast(c, coefficient);
        apply_run<A, Operation, kStore>(tile.streams(n, c), extent.length, coefficient);
      }
    }
  }

 private:
  static constexpr Index kImages = 4;

  // The planes of each of kCount images `distance` apart, side by side, as one run: a vector that spans two planes
  // takes coefficients of both, so that no line of memory is written in two parts. Images that stream begin at one
  // place in their lines.
  template <Index kCount>
  [[gnu::flatten, gnu::noinline]] static void run_images(const Tile& tile, Index n, Index distance) {
    Streams<Operation> streams[kCount];
    for (Index k = 0; k < kCount; ++k) streams[k] = tile.streams(n + k * distance, 0);
    const Index head = kStore == Store::streaming ? misaligned_elements(streams[0].destination) : 0;
    Index i = 0;
    const Index length = tile.extent.length;
    Lanes<A> coefficient[Operation::kCoefficients];
    tile.broadcast(0, coefficient);
    const auto first_of_all = [&](Index count) {
      for (Index k = 0; k < kCount; ++k) compute_first<A>(streams[k], i, count, coefficient);
      i += count;
    };
    const auto vector_of_all = [&] {
#pragma GCC unroll 4
      for (Index k = 0; k < kCount; ++k) {
        if constexpr (kStore == Store::streaming) look_ahead(streams[k], i);
        put<A, kStore>(compute_at<A>(streams[k], i, coefficient), streams[k].destination + i);
      }
      i += kLanes;
    };
    if (head > 0) first_of_all(head);
    for (Index c = 0; c < tile.extent.channels; ++c) {
      const Index end = (c + 1) * length;
      if (kCount > 1 || length < kSmallPlane) {
        while (i + kLanes <= end) vector_of_all();
      } else {
        const Index whole = (end - i) / kLanes * kLanes;
        apply_vectors<A, Operation, kStore>(streams[0], i, i + whole, coefficient);
        i += whole;
      }
      const Index left = end - i;
      if (c + 1 == tile.extent.channels) {
        if (left > 0) first_of_all(left);
        return;
      }
      Lanes<A> next[Operation::kCoefficients];
      tile.broadcast(c + 1, next);
      if (left > 0) {
        for (int k = 0; k < Operation::kCoefficients; ++k) {
          coefficient[k] = Lanes<A>::select_first(left, coefficient[k], next[k]);
        }
        vector_of_all();
      }
      for (int k = 0; k < Operation::kCoefficients; ++k) coefficient[k] = next[k];
    }
  }

  static void run_bands(const Tile& tile) {
    const Index most = kMaxLanes / tile.extent.length;
    for (Index first = 0; first < tile.extent.channels; first += most) {
      const Index channels = tile.extent.channels - first < most ? tile.extent.channels - first : most;
      const PlanarBand<A, Operation> band(tile, first, channels);
      if (kStore == Store::streaming && band.aligned()) {
        apply_rows<A, Operation, kStore>(band.rows(), tile.extent.planes, band.lanes(), band.coefficients());
      } else {
        apply_rows<A, Operation, Store::ordinary>(band.rows(), tile.extent.planes, band.lanes(), band.coefficients());
      }
    }
  }
};

// The planes of a tile one after the other, in the order of memory. Those that lie side by side are one run but for
// their coefficients.
template <class A, class Operation, Store kStore>
class PlanarRuns {
 public:
  explicit PlanarRuns(const PlanarTile<Operation>& tile) : tile_(tile), side_by_side_(tile.side_by_side()) {}

  Run<A, Operation> first() { return tile_.extent.channels > 0 ? begin() : Run<A, Operation>::none(); }

  [[gnu::flatten, gnu::noinline]] Run<A, Operation> next(Run<A, Operation> run) {
    const bool last_of_image = channel_ + 1 == tile_.extent.channels;
    if (side_by_side_ && !last_of_image && tile_.extent.length >= kLanes) {
      ++channel_;
      Lanes<A> coefficient[Operation::kCoefficients];
      tile_.broadcast(channel_, coefficient);
      run.left += tile_.extent.length;
      if (run.left > tile_.extent.length) {
        const Index of_last = run.left - tile_.extent.length;
        for (int k = 0; k < Operation::kCoefficients; ++k) {
          run.coefficient[k] = Lanes<A>::select_first(of_last, run.coefficient[k], coefficient[k]);
        }
        put<A, kStore>(compute_at<A>(run.streams, 0, run.coefficient), run.streams.destination);
        run.advance(kLanes);
      }
      for (int k = 0; k < Operation::kCoefficients; ++k) run.coefficient[k] = coefficient[k];
      return run;
    }
    if (run.left > 0) compute_first<A>(run.streams, 0, run.left, run.coefficient);
    channel_ = last_of_image ? 0 : channel_ + 1;
    if (last_of_image && ++image_ == tile_.extent.planes) return Run<A, Operation>::none();
    return begin();
  }

 private:
  Run<A, Operation> begin() const {
    Run<A, Operation> run{};
    run.streams = tile_.streams(image_, channel_);
    run.left = tile_.extent.length;
    tile_.broadcast(channel_, run.coefficient);
    run.template align<kStore>();
    return run;
  }

  PlanarTile<Operation> tile_;
  bool side_by_side_;
  Index image_ = 0;
  Index channel_ = 0;
};

}  // namespace
}  // namespace xbn::kernels
