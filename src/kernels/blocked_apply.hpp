#pragma once

// The apply passes of the blocked layouts: alone, or beside the sums of another slab.

#include "kernels/companions.hpp"

namespace xbn::kernels {
namespace {

// Channels of block `index` of a group.
inline Index channels_of(const BlocksExtent& extent, Index index) {
  const Index left = extent.channels - index * extent.block;
  return left < extent.block ? left : extent.block;
}

inline Index blocks_of(const BlocksExtent& extent) { return (extent.channels + extent.block - 1) / extent.block; }

// The rows of a block in an image.
template <class Tensor>
inline auto* plane_of(const Tensor& tensor, Index image, Index block) {
  return tensor.data + image * tensor.image_pitch + block * tensor.block_pitch;
}

// One operation on one tile.
template <class Operation>
struct BlocksTile {
  SourcesOf<BlocksSource, Operation::kSources> sources;
  BlocksDestination destination;
  BlocksExtent extent;
  Coefficients<Operation> coefficients;

  Streams<Operation> streams(Index image, Index block) const {
    Streams<Operation> result;
    for (int i = 0; i < Operation::kSources; ++i) result.source[i] = plane_of(sources.of[i], image, block);
    result.destination = plane_of(destination, image, block);
    return result;
  }

  // The coefficients of a block's channels, twice where there are 8.
  template <class A>
  void lanes(Index block, Lanes<A>* coefficient) const {
    const Index channels = channels_of(extent, block);
    for (int i = 0; i < Operation::kCoefficients; ++i) {
      const float* const from = coefficients.of[i] + block * extent.block;
      if (channels < extent.block || extent.block == kLanes) {
        coefficient[i] = Lanes<A>::load_first(from, channels);
      } else {
        alignas(64) float twice[kLanes];
        for (Index lane = 0; lane < kLanes / 2; ++lane) twice[lane] = twice[lane + kLanes / 2] = from[lane];
        coefficient[i] = Lanes<A>::load(twice);
      }
    }
  }

  // Whether a block's rows of an image are one run of whole vectors' lanes.
  bool is_run(Index block) const {
    bool result = channels_of(extent, block) == extent.block && destination.row_pitch == extent.block;
    for (const BlocksSource& source : sources.of) result = result && source.row_pitch == extent.block;
    return result;
  }

  // A run that begins in the middle of a line streams only if its lanes still fit their coefficients then.
  bool can_stream(const Streams<Operation>& run) const {
    return misaligned_elements(run.destination) % extent.block == 0;
  }
};

template <class A, class Operation, Store kStore>
struct BlocksApply {
  using Tile = BlocksTile<Operation>;

  static void run(const Tile& tile) {
    const Index blocks = blocks_of(tile.extent);
    // Once a tile: small planes are many.
    Lanes<A> coefficients[kMaxGroup][Operation::kCoefficients];
    for (Index block = 0; block < blocks; ++block) tile.lanes(block, coefficients[block]);
    Index image = 0;
    if (kStore == Store::streaming) {
      const Index quarter = tile.extent.images / kStreams;
      for (; image < quarter; ++image) {
        for (Index block = 0; block < blocks; ++block) run_planes(tile, image, quarter, block, coefficients[block]);
      }
      image = quarter * kStreams;
    } else if (tile.extent.length * tile.extent.block < kShortPlane) {
      return run_short_planes(tile, blocks, coefficients);
    }
    for (; image < tile.extent.images; ++image) {
      for (Index block = 0; block < blocks; ++block) run_plane(tile, image, block, coefficients[block]);
    }
  }

  static void run_plane(const Tile& tile, Index image, Index block, const Lanes<A>* coefficient) {
    const Streams<Operation> streams = tile.streams(image, block);
    const Index elements = tile.extent.length * tile.extent.block;
    if (!tile.is_run(block)) {
      run_rows(tile, streams, channels_of(tile.extent, block), coefficient);
    } else if (kStore == Store::streaming && tile.can_stream(streams)) {
      apply_run<A, Operation, kStore>(streams, elements, coefficient);
    } else {
      apply_run<A, Operation, Store::ordinary>(streams, elements, coefficient);
    }
  }

 private:
  static constexpr Index kStreams = 4;

  // Elements: below, a call for each plane shows.
  static constexpr Index kShortPlane = 1024;

  [[gnu::flatten, gnu::noinline]] static void run_short_planes(
      const Tile& tile, Index blocks, const Lanes<A> (*coefficients)[Operation::kCoefficients]) {
    const Index elements = tile.extent.length * tile.extent.block;
    for (Index image = 0; image < tile.extent.images; ++image) {
      for (Index block = 0; block < blocks; ++block) {
        const Streams<Operation> streams = tile.streams(image, block);
        if (!tile.is_run(block)) {
          run_rows(tile, streams, channels_of(tile.extent, block), coefficients[block]);
          continue;
        }
        Lanes<A> coefficient[Operation::kCoefficients];
        for (int i = 0; i < Operation::kCoefficients; ++i) coefficient[i] = coefficients[block][i];
        Index i = 0;
#pragma GCC unroll 2
        for (; i + kLanes <= elements; i += kLanes) {
          put<A, kStore>(compute_at<A>(streams, i, coefficient), streams.destination + i);
        }
        if (i < elements) compute_first<A>(streams, i, elements - i, coefficient);
      }
    }
  }

  // The same block of images `distance` apart: streams that prefetchers follow side by side.
  [[gnu::flatten, gnu::noinline]] static void run_planes(const Tile& tile, Index image, Index distance, Index block,
                                                         const Lanes<A>* coefficients) {
    Streams<Operation> streams[kStreams];
    bool together = tile.is_run(block);
    for (Index k = 0; k < kStreams; ++k) {
      streams[k] = tile.streams(image + k * distance, block);
      if (kStore == Store::streaming) together = together && misaligned_elements(streams[k].destination) == 0;
    }
    if (!together) {
      for (Index k = 0; k < kStreams; ++k) run_plane(tile, image + k * distance, block, coefficients);
      return;
    }
    Lanes<A> coefficient[Operation::kCoefficients];
    for (int i = 0; i < Operation::kCoefficients; ++i) coefficient[i] = coefficients[i];
    const Index elements = tile.extent.length * tile.extent.block;
    Index i = 0;
    for (; i + kLanes <= elements; i += kLanes) {
#pragma GCC unroll 4
      for (Index k = 0; k < kStreams; ++k) {
        put<A, kStore>(compute_at<A>(streams[k], i, coefficient), streams[k].destination + i);
      }
    }
    if (i < elements) {
      for (Index k = 0; k < kStreams; ++k) compute_first<A>(streams[k], i, elements - i, coefficient);
    }
  }

  // Lanes behind the channels are zero in sources and coefficients, and so in results.
  static void run_rows(const Tile& tile, const Streams<Operation>& row, Index channels, const Lanes<A>* coefficient) {
    const Index written = tile.destination.owns_padding ? tile.extent.block : channels;
    const bool whole_lines =
        written == kLanes && tile.destination.row_pitch % kLanes == 0 && misaligned_elements(row.destination) == 0;
    if (kStore == Store::streaming && whole_lines) {
      run_rows(tile, row, channels, coefficient, [](const Lanes<A>& value, float* to) { value.stream(to); });
    } else {
      run_rows(tile, row, channels, coefficient,
               [=](const Lanes<A>& value, float* to) { value.store_first(to, written); });
    }
  }

  template <class Put>
  static void run_rows(const Tile& tile, Streams<Operation> row, Index channels, const Lanes<A>* coefficient,
                       const Put& put_row) {
    for (Index r = 0; r < tile.extent.length; ++r) {
      Lanes<A> source[Operation::kSources];
      for (int i = 0; i < Operation::kSources; ++i) source[i] = Lanes<A>::load_first(row.source[i], channels);
      put_row(Operation::template compute<A>(source, coefficient), row.destination);
      for (int i = 0; i < Operation::kSources; ++i) row.source[i] += tile.sources.of[i].row_pitch;
      row.destination += tile.destination.row_pitch;
    }
  }
};

// The blocks of a tile one after the other, in the order of memory. Those that are not runs are done as they are met.
template <class A, class Operation, Store kStore>
class BlocksRuns {
 public:
  explicit BlocksRuns(const BlocksTile<Operation>& tile) : tile_(tile) {}

  Run<A, Operation> first() { return tile_.extent.channels > 0 ? begin() : Run<A, Operation>::none(); }

  [[gnu::noinline]] Run<A, Operation> next(const Run<A, Operation>& run) {
    if (run.left > 0) compute_first<A>(run.streams, 0, run.left, run.coefficient);
    return advance() ? begin() : Run<A, Operation>::none();
  }

 private:
  bool advance() {
    if (++block_ < blocks_of(tile_.extent)) return true;
    block_ = 0;
    return ++image_ < tile_.extent.images;
  }

  Run<A, Operation> begin() {
    Run<A, Operation> run{};
    run.streams = tile_.streams(image_, block_);
    while (!tile_.is_run(block_) || (kStore == Store::streaming && !tile_.can_stream(run.streams))) {
      tile_.lanes(block_, run.coefficient);
      BlocksApply<A, Operation, kStore>::run_plane(tile_, image_, block_, run.coefficient);
      if (!advance()) return Run<A, Operation>::none();
      run.streams = tile_.streams(image_, block_);
    }
    run.left = tile_.extent.length * tile_.extent.block;
    tile_.lanes(block_, run.coefficient);
    run.template align<kStore>();
    return run;
  }

  BlocksTile<Operation> tile_;
  Index image_ = 0;
  Index block_ = 0;
};

}  // namespace
}  // namespace xbn::kernels
