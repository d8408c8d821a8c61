#pragma once

// The fused apply passes: an operation (Forward or Backward of fused_streams.hpp) over the runs and rows of a tile.

#include "kernels/fused_bands.hpp"
#include "kernels/fused_dense_rows.hpp"
#include "kernels/fused_side_by_side.hpp"

namespace xbn::kernels {
namespace {

template <class A, class Operation>
class FusedApply {
 public:
  FusedApply(const Operation& operation, const FusedExtent& extent, Store store)
      : operation_(operation), extent_(with_rows_of_one_image(extent, operation_)), store_(store) {}

  void run() {
    if (side_by_side(extent_, operation_)) return run_side_by_side();
    if (in_bands(extent_, operation_)) return run_bands();
    Index image = 0;
    if (extent_.shape != Shape::rows && store_ == Store::streaming && extent_.lengths == nullptr)
      image = run_quarters();
    for (; image < extent_.images; ++image) {
      for (Index block = 0; block < extent_.blocks; ++block) apply(image, block);
    }
  }

  void apply(Index image, Index block) {
    const Index valid = valid_positions(extent_, image);
    move_to(operation_, image, block, 0);
    if (extent_.shape == Shape::rows) {
      apply_rows(valid);
    } else {
      apply_block(block, valid);
    }
    if (valid < extent_.positions) clear(image, block, valid);
  }

 private:
  using Real = typename Operation::Real;
  using Vector = typename Operation::Vector;
  static constexpr int kCoefficients = Operation::kCoefficients;
  static constexpr int kBand = 4;
  // Shorter quarters of a run are not worth streams of their own.
  static constexpr Index kQuarter = 1024;
  static constexpr int kLine = Operation::kLine;

  void run_side_by_side() {
    for (Index image = 0; image < extent_.images; ++image) {
      move_to(operation_, image, 0, 0);
      SideBySide<A, Operation>(operation_, extent_).run(store_);
    }
  }

  [[gnu::noinline]] void run_bands() {
    const Index length = extent_.positions;
    const Index most = Band<A, Operation>::kLanesOfBand / length;
    for (Index first = 0; first < extent_.blocks; first += most) {
      const Index channels = extent_.blocks - first < most ? extent_.blocks - first : most;
      move_to(operation_, 0, first, 0);
      const Band<A, Operation> band(operation_, extent_, first, channels);
      FusedApply rows(band.operation(), band.extent(), store_);
      if (!operation_.mask.present() || length % 8 == 0) {
        rows.apply_rows(extent_.images);
        continue;
      }
      // Each plane's bits start on a byte of their own.
      const Index lanes = channels * length;
      if (lanes < kLanes) {
        for (Index image = 0; image < extent_.images; ++image) {
          for (Index c = first; c < first + channels; ++c) apply(image, c);
        }
        continue;
      }
      const bool one_run = channels == extent_.blocks && tensors_adjoin(lanes, rows.operation_) &&
                           operation_.mask.image_pitch == channels * operation_.mask.block_pitch;
      const Index together = one_run ? extent_.images : 1;
      for (Index image = 0; image < extent_.images; image += together) {
        Operation at = rows.operation_;
        skip_rows(at, image);
        at.mask.row_pitch = at.mask.block_pitch;
        rows.apply_rows_with_bits(at, length, channels, together);
      }
    }
  }

  // The same block or plane of four images at a time: streams that prefetchers follow side by side. Returns the first
  // image that is left.
  Index run_quarters() {
    const Index quarter = extent_.images / kBand;
    for (Index image = 0; image < quarter; ++image) {
      for (Index block = 0; block < extent_.blocks; ++block) {
        bool together = is_run(extent_, block, operation_);
        for (Index k = 0; k < kBand; ++k) {
          move_to(operation_, image + k * quarter, block, 0);
          together = together && operation_.can_stream();
        }
        if (together) {
          move_to(operation_, image, block, 0);
          apply_images(block, quarter);
          continue;
        }
        for (Index k = 0; k < kBand; ++k) {
          move_to(operation_, image + k * quarter, block, 0);
          apply_block(block, extent_.positions);
        }
      }
    }
    return quarter * kBand;
  }

  [[gnu::flatten, gnu::noinline]] void apply_images(Index block, Index distance) {
    Vector coefficient[kCoefficients];
    coefficients_of_block<A>(operation_, extent_, block, coefficient);
    Operation operation = operation_;
    operation.for_each_tensor([&](auto& stream) { stream.step = distance * stream.image_pitch; });
    operation.mask.step = distance * operation.mask.image_pitch;
    const Index elements = run_elements(extent_, extent_.positions);
    const Partial whole{kLanes, kLanes};
    const Index head = elements_before_line(operation);
    Index i = 0;
    while (i + kLanes <= elements) {
      if (kLine == 1 || (i >= head && i + kLine * kLanes <= elements)) {
        operation.template step_line<kBand>(i, [&](int) { return coefficient; });
        i += kLine * kLanes;
      } else {
        operation.template step<kBand, false, Store::streaming>(i, whole, coefficient);
        i += kLanes;
      }
    }
    if (i < elements) {
      operation.template step<kBand, true, Store::streaming>(i, {elements - i, elements - i}, coefficient);
    }
  }

  void apply_block(Index block, Index positions) {
    Vector coefficient[kCoefficients];
    coefficients_of_block<A>(operation_, extent_, block, coefficient);
    if (is_run(extent_, block, operation_)) {
      const Index elements = run_elements(extent_, positions);
      const Index head = store_ == Store::streaming ? head_before_streaming(operation_, extent_, elements) : -1;
      if (head < 0) return apply_run<Store::ordinary>(elements, coefficient);
      if (splits_mask(operation_, head)) return apply_plane(block, positions);
      if (head > 0) operation_.template step<1, true, Store::ordinary>(0, {head, head}, coefficient);
      move_by(operation_, head);
      return apply_run<Store::streaming>(elements - head, coefficient);
    }
    Operation rows = at_channels_of(block);
    apply_bands<Store::ordinary>(rows, channels_of(extent_, block), extent_.width, positions);
  }

  // Where the operation is, with coefficients that begin with those of the block.
  Operation at_channels_of(Index block) const {
    Operation result = operation_;
    for (const Real*& values : result.coefficients) {
      if (values != nullptr) values += first_channel(extent_, block);
    }
    return result;
  }

  // A plane of which vectors that can be streamed take parts of the mask's bytes.
  [[gnu::noinline]] void apply_plane(Index block, Index positions) {
    Operation operation = at_channels_of(block);
    FusedExtent extent = extent_;
    extent.blocks = 1;
    for (Index done = 0; done < positions; done += extent.positions, move_by(operation, extent.positions)) {
      const Index left = positions - done;
      extent.positions = left < kMostBits ? left : kMostBits;
      SideBySide<A, Operation>(operation, extent).run(Store::streaming);
    }
  }

  template <Store kStore>
  [[gnu::flatten, gnu::noinline]] void apply_run(Index elements, const Vector* coefficient) {
    const Partial whole{kLanes, kLanes};
    Operation operation = operation_;
    Index i = 0;
    if constexpr (kStore == Store::streaming) {
      constexpr Index kLineLanes = kLine * kLanes;
      const Index head = elements_before_line(operation);
      const Index quarter = (elements - head) / (kBand * kLineLanes) * kLineLanes;
      if (quarter >= kQuarter) {
        for (; i < head; i += kLanes) operation.template step<1, false, kStore>(i, whole, coefficient);
        set_step(operation, quarter);
        for (; i < head + quarter; i += kLineLanes) {
          operation.template step_line<kBand>(i, [&](int) { return coefficient; });
        }
        i = head + kBand * quarter;
      }
    }
    set_step(operation, kLanes);
    for (; i + kBand * kLanes <= elements; i += kBand * kLanes) {
      operation.template step<kBand, false, kStore>(i, whole, coefficient);
    }
    for (; i + kLanes <= elements; i += kLanes) operation.template step<1, false, kStore>(i, whole, coefficient);
    if (i < elements) operation.template step<1, true, kStore>(i, {elements - i, elements - i}, coefficient);
  }

  // Dense rows of few channels are taken several at a time.
  void apply_rows(Index rows) {
    const Index width = extent_.width;
    const Index together = rows_together();
    // Rows shorter than a vector gain at once, others when there are many.
    const Index worthwhile = (width < kLanes ? 2 : 32) * together;
    if (together < 2 || rows < worthwhile || !tensors_adjoin(width, operation_)) {
      return apply_rows_of(operation_, 1, rows);
    }
    const RepeatedCoefficients<Real, kCoefficients> repeated(operation_.coefficients, width, together);
    Operation operation = operation_;
    for (int i = 0; i < kCoefficients; ++i) operation.coefficients[i] = repeated.of(i);
    const Index left = rows % together;
    Operation rest = operation;
    skip_rows(rest, rows - left);
    operation.for_each_tensor([&](auto& stream) { stream.row_pitch *= together; });
    apply_rows_of(operation, together, rows / together);
    if (rest.mask.present() && width % 8 != 0) return apply_bands<Store::ordinary>(rest, width, width, left);
    apply_band<Store::ordinary, 1>(rest, left * width, left * width, left > 0 ? 1 : 0, 1);
  }

  // As many as begin where lines do, if that many are few.
  Index rows_together() const {
    Index of_lines = kLanes;
    while (of_lines > 1 && extent_.width * (of_lines / 2) % kLanes == 0) of_lines /= 2;
    const Index most = kRepeatedLanes / extent_.width;
    return most < of_lines ? most : most / of_lines * of_lines;
  }

  // Of `together` rows each; the mask's rows are single ones.
  void apply_rows_of(const Operation& at, Index together, Index rows) const {
    const Index lanes = together * extent_.width;
    Operation operation = at;
    if (operation.mask.present() && extent_.width % 8 != 0 && rows > 1 && lanes >= kLanes && 2 * lanes <= kMostBits &&
        tensors_adjoin(lanes, operation)) {
      return apply_rows_with_bits(operation, extent_.width, together, rows);
    }
    operation.mask.row_pitch *= together;
    bool streams = store_ == Store::streaming && operation.can_stream();
    operation.for_each_destination(
        [&](const auto& stream, bool) { streams = streams && (!stream.present() || stream.row_pitch % kLanes == 0); });
    if (streams) return apply_bands<Store::streaming>(operation, lanes, lanes, rows);
    FusedDenseRows<A, Operation> dense(operation, lanes, rows);
    if (store_ == Store::streaming && dense.can_stream()) return dense.template run<Store::streaming>();
    if (lanes % kLanes != 0 && dense.can_run()) return dense.template run<Store::ordinary>();
    apply_bands<Store::ordinary>(operation, lanes, lanes, rows);
  }

  // `rows` times `together` dense rows of `width` lanes, but of a mask in which each of them starts on a byte of its
  // own.
  [[gnu::noinline]] void apply_rows_with_bits(Operation& operation, Index width, Index together, Index rows) const {
    const Index lanes = together * width;
    const Index most = kMostBits / lanes;
    BitsOfVectors<typename Operation::MaskByte> bits;
    for (Index done = 0; done < rows; done += most) {
      const Index count = rows - done < most ? rows - done : most;
      FusedDenseRows<A, Operation> dense(operation, lanes, count, &bits);
      const bool streams = store_ == Store::streaming && dense.can_stream();
      const Index head = streams ? operation.misaligned() : 0;
      bits.begin(operation.mask.at, operation.mask.row_pitch, count * together, width, head);
      if (streams) {
        dense.template run<Store::streaming>();
      } else {
        dense.template run<Store::ordinary>();
      }
      bits.end();
      operation.for_each_tensor([&](auto& stream) { stream.advance(count * lanes); });
      operation.mask.advance(count * together * operation.mask.row_pitch);
    }
  }

  template <Store kStore>
  void apply_bands(Operation& operation, Index lanes, Index written, Index rows) const {
    Index quarter = rows / kBand;
    const bool by_quarters = kStore == Store::streaming && quarter * lanes >= kQuarter;
    if (by_quarters) quarter -= rows_off_page(operation, quarter);
    step_by_rows(operation, by_quarters ? quarter : 1);
    apply_band<kStore, kBand>(operation, lanes, written, quarter, by_quarters ? 1 : kBand);
    skip_rows(operation, quarter * kBand);
    apply_band<kStore, 1>(operation, lanes, written, rows - quarter * kBand, 1);
  }

  // By how many rows less than `quarter` streams begin at places of their own in their pages: from one place they
  // contend for the same sets of the caches.
  static Index rows_off_page(Operation& operation, Index quarter) {
    constexpr Index kPage = 4096;
    Index row = 0;
    bool aliased = false;
    operation.for_each_tensor([&](auto& stream) {
      const auto bytes = static_cast<Index>(stream.row_pitch * static_cast<Index>(sizeof(*stream.at)));
      aliased = aliased || (stream.present() && quarter * bytes % kPage == 0);
      row = bytes > row ? bytes : row;
    });
    if (!aliased) return 0;
    return row < kPage / 4 ? kPage / 4 / row : 1;
  }

  // `turns` times kRows rows, each `stride` rows behind the last; coefficients are loaded once for all rows of a
  // turn. Rows of `lanes` lanes, with zeros up to `written`.
  template <Store kStore, int kRows>
  [[gnu::flatten, gnu::noinline]] static void apply_band(const Operation& at, Index lanes, Index written, Index turns,
                                                         Index stride) {
    Operation operation = at;
    const Partial whole{kLanes, kLanes};
    Vector coefficient[kCoefficients];
    if (lanes < kLanes) load_coefficients(operation, 0, lanes, coefficient);
    for (Index turn = 0; turn < turns; ++turn, skip_rows(operation, stride)) {
      Index lane = 0;
      if constexpr (kStore == Store::streaming && kLine > 1 && kRows == kBand) {
        Vector of_line[kLine][kCoefficients];
        for (; lane + kLine * kLanes <= lanes; lane += kLine * kLanes) {
          operation.template step_line<kRows>(lane, [&](int vector) {
            load_coefficients(operation, lane + vector * kLanes, kLanes, of_line[vector]);
            return of_line[vector];
          });
        }
      }
      for (; lane + kLanes <= lanes; lane += kLanes) {
        load_coefficients(operation, lane, kLanes, coefficient);
        operation.template step<kRows, false, kStore>(lane, whole, coefficient);
      }
      if (lane < lanes) {
        const Index count = lanes - lane;
        if (lane > 0) load_coefficients(operation, lane, count, coefficient);
        operation.template step<kRows, true, kStore>(lane, {count, written - lane}, coefficient);
      }
    }
  }

  static void load_coefficients(const Operation& operation, Index lane, Index count, Vector* coefficient) {
#pragma GCC unroll 6
    for (int i = 0; i < kCoefficients; ++i) {
      const Real* const values = operation.coefficients[i];
      if (values == nullptr) {
        coefficient[i] = Vector::all(0);
      } else {
        coefficient[i] = count < kLanes ? Vector::load_first(values + lane, count) : Vector::load(values + lane);
      }
    }
  }

  // Zeros to the positions that are void.
  [[gnu::noinline]] void clear(Index image, Index block, Index from) {
    const Index void_positions = extent_.positions - from;
    const Index channels = channels_of(extent_, block);
    move_to(operation_, image, block, extent_.shape == Shape::planes ? 0 : from);
    operation_.for_each_destination([&](auto& stream, bool owns_padding) {
      if (!stream.present()) return;
      using T = std::remove_reference_t<decltype(*stream.at)>;
      if (extent_.shape == Shape::planes) {
        for (Index i = from; i < extent_.positions; ++i) stream.at[i] = T{};
        return;
      }
      const Index width = owns_padding ? extent_.width : channels;
      for (Index r = 0; r < void_positions; ++r) {
        for (Index i = 0; i < width; ++i) stream.at[r * stream.row_pitch + i] = T{};
      }
    });
    if constexpr (std::is_same_v<decltype(operation_.mask), Stream<std::uint8_t>>) {
      if (!operation_.mask.present()) return;
      const Index first = extent_.shape == Shape::planes ? (from + 7) / 8 : 0;
      const Index last =
          extent_.shape == Shape::planes ? (extent_.positions + 7) / 8 : void_positions * operation_.mask.row_pitch;
      for (Index i = first; i < last; ++i) operation_.mask.at[i] = 0;
    }
  }

  Operation operation_;
  FusedExtent extent_;
  Store store_;
};

// Calls with(Source{}, Destination{}) for two types that forward goes from and to.
template <class With>
inline void with_types(DataType source, DataType destination, const With& with) {
  const auto to = [&]<class Source, class... Destinations>(Source from, Destinations... types) {
    ((destination == data_type_of<Destinations> ? with(from, types) : void()), ...);
  };
  switch (source) {
    case DataType::f32:
      return to(float{}, float{}, bfloat16{}, float16{}, std::int8_t{}, std::uint8_t{});
    case DataType::f64:
      return;
    case DataType::bf16:
      return to(bfloat16{}, float{}, bfloat16{});
    case DataType::f16:
      return to(float16{}, float{}, float16{});
    case DataType::s8:
      return to(std::int8_t{}, float{}, std::int8_t{}, std::uint8_t{});
    case DataType::u8:
      return to(std::uint8_t{}, float{}, std::int8_t{}, std::uint8_t{});
  }
}

// Likewise of backward, which has no integers.
template <class With>
inline void with_trained_types(DataType source, DataType gradient, const With& with) {
  const auto to = [&]<class Source, class... Gradients>(Source from, Gradients... types) {
    ((gradient == data_type_of<Gradients> ? with(from, types) : void()), ...);
  };
  switch (source) {
    case DataType::f32:
      return to(float{}, float{}, bfloat16{}, float16{});
    case DataType::bf16:
      return to(bfloat16{}, float{}, bfloat16{});
    case DataType::f16:
      return to(float16{}, float{}, float16{});
    case DataType::f64:
    case DataType::s8:
    case DataType::u8:
      return;
  }
}

template <class A>
struct FusedPasses {
  static void apply(const FusedForward<float>& tile) {
    with_types(tile.x.type, tile.y.type, [&]<class Source, class Destination>(Source, Destination) {
      FusedApply<A, Forward<A, Source, Destination>>(Forward<A, Source, Destination>(tile), tile.extent, tile.store)
          .run();
    });
  }
  static void apply(const FusedForward<double>& tile) {
    FusedApply<A, Forward<A, double, double>>(Forward<A, double, double>(tile), tile.extent, tile.store).run();
  }

  static void gradient_apply(const FusedGradient<float>& tile, const FusedGradientApply<float>& out) {
    with_trained_types(tile.x.type, tile.dy.type, [&]<class Source, class Gradient>(Source, Gradient) {
      FusedApply<A, Backward<A, Source, Gradient>>(Backward<A, Source, Gradient>(tile, out), tile.extent, out.store)
          .run();
    });
  }
  static void gradient_apply(const FusedGradient<double>& tile, const FusedGradientApply<double>& out) {
    FusedApply<A, Backward<A, double, double>>(Backward<A, double, double>(tile, out), tile.extent, out.store).run();
  }
};

}  // namespace
}  // namespace xbn::kernels
