#pragma once

// The fused apply passes: an operation (Forward or Backward of fused_streams.hpp) over the runs and rows of a tile.

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
      if (head > 0) operation_.template step<1, true, Store::ordinary>(0, {head, head}, coefficient);
      move_by(operation_, head);
      return apply_run<Store::streaming>(elements - head, coefficient);
    }
    const Partial row{channels_of(extent_, block), extent_.width};
    for (Index r = 0; r < positions; ++r) {
      operation_.template step<1, true, Store::ordinary>(0, row, coefficient);
      skip_rows(operation_, 1);
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

  void apply_rows(Index rows) {
    bool streams = store_ == Store::streaming && operation_.can_stream();
    operation_.for_each_destination(
        [&](const auto& stream, bool) { streams = streams && (!stream.present() || stream.row_pitch % kLanes == 0); });
    if (streams) return apply_bands<Store::streaming>(rows);
    FusedDenseRows<A, Operation> dense(operation_, extent_.width, rows);
    if (store_ == Store::streaming && dense.can_stream()) return dense.template run<Store::streaming>();
    if (extent_.width % kLanes != 0 && dense.can_run()) return dense.template run<Store::ordinary>();
    apply_bands<Store::ordinary>(rows);
  }

  template <Store kStore>
  void apply_bands(Index rows) {
    Index quarter = rows / kBand;
    const bool by_quarters = kStore == Store::streaming && quarter * extent_.width >= kQuarter;
    if (by_quarters) quarter -= rows_off_page(quarter);
    const Index distance = by_quarters ? quarter : 1;
    Operation operation = operation_;
    operation.for_each_tensor([&](auto& stream) { stream.step = distance * stream.row_pitch; });
    operation.mask.step = distance * operation.mask.row_pitch;
    apply_band<kStore, kBand>(operation, quarter, by_quarters ? 1 : kBand);
    skip_rows(operation_, quarter * kBand);
    apply_band<kStore, 1>(operation_, rows - quarter * kBand, 1);
  }

  // By how many rows less than `quarter` streams begin at places of their own in their pages: from one place they
  // contend for the same sets of the caches.
  Index rows_off_page(Index quarter) {
    constexpr Index kPage = 4096;
    Index row = 0;
    bool aliased = false;
    operation_.for_each_tensor([&](auto& stream) {
      const auto bytes = static_cast<Index>(stream.row_pitch * static_cast<Index>(sizeof(*stream.at)));
      aliased = aliased || (stream.present() && quarter * bytes % kPage == 0);
      row = bytes > row ? bytes : row;
    });
    if (!aliased) return 0;
    return row < kPage / 4 ? kPage / 4 / row : 1;
  }

  static void skip_rows(Operation& operation, Index rows) {
    operation.for_each_tensor([&](auto& stream) { stream.advance(rows * stream.row_pitch); });
    operation.mask.advance(rows * operation.mask.row_pitch);
  }

  // `turns` times kRows rows, each `stride` rows behind the last; coefficients are loaded once for all rows of a turn.
  template <Store kStore, int kRows>
  [[gnu::flatten, gnu::noinline]] void apply_band(const Operation& at, Index turns, Index stride) const {
    Operation operation = at;
    const Index lanes = extent_.width;
    const Partial whole{kLanes, kLanes};
    for (Index turn = 0; turn < turns; ++turn, skip_rows(operation, stride)) {
      Vector coefficient[kCoefficients];
      Index lane = 0;
      if constexpr (kStore == Store::streaming && kLine > 1 && kRows == kBand) {
        Vector of_line[kLine][kCoefficients];
        for (; lane + kLine * kLanes <= lanes; lane += kLine * kLanes) {
          operation.template step_line<kRows>(lane, [&](int vector) {
            load_coefficients(operation, lane + vector * kLanes, of_line[vector]);
            return of_line[vector];
          });
        }
      }
      for (; lane + kLanes <= lanes; lane += kLanes) {
        load_coefficients(operation, lane, coefficient);
        operation.template step<kRows, false, kStore>(lane, whole, coefficient);
      }
      if (lane < lanes) {
        const Index count = lanes - lane;
        for (int i = 0; i < kCoefficients; ++i) {
          const Real* const values = operation.coefficients[i];
          coefficient[i] = values != nullptr ? Vector::load_first(values + lane, count) : Vector::all(0);
        }
        operation.template step<kRows, true, kStore>(lane, {count, count}, coefficient);
      }
    }
  }

  static void load_coefficients(const Operation& operation, Index lane, Vector* coefficient) {
#pragma GCC unroll 6
    for (int i = 0; i < kCoefficients; ++i) {
      const Real* const values = operation.coefficients[i];
      coefficient[i] = values != nullptr ? Vector::load(values + lane) : Vector::all(0);
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
