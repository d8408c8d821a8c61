#pragma once

// Sums that keep more digits than their elements by themselves need: of floats in double, about any center, for tiles
// whose sums in single precision were not sound; of doubles in two doubles.

#include "kernels/double_double.hpp"
#include "kernels/reductions.hpp"

namespace xbn::kernels {
namespace {

// As MomentsReduction, in double.
struct ExactMomentsReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 1;
  static constexpr int kSums = 2;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 8;
  static constexpr int kStreamsOfAvx512 = 4;

  template <class A>
  struct Block {
    using Center = DoubleLanes<A>;

    DoubleLanes<A> deviations;
    DoubleLanes<A> squares;

    Block(const double* const* sums, Index offset)
        : deviations(DoubleLanes<A>::load(sums[0] + offset)), squares(DoubleLanes<A>::load(sums[1] + offset)) {}

    template <class Row, class Parity>
    void add(const Row& row, const DoubleLanes<A>& center, Parity) {
      const DoubleLanes<A> deviation = row.template widened<DoubleLanes<A>>(0).all() - center;
      deviations = deviations + deviation;
      squares = fma(deviation, deviation, squares);
    }

    void finish(double* const* sums, Index offset) const {
      deviations.store(sums[0] + offset);
      squares.store(sums[1] + offset);
    }
  };
};

template <class A>
inline SumAndError<DoubleLanes<A>> exact_product(const DoubleLanes<A>& a, const DoubleLanes<A>& b) {
  const DoubleLanes<A> product = a * b;
  if constexpr (std::is_same_v<A, Sse2>) {
    const auto high_of = [](const DoubleLanes<A>& value) {
      const DoubleLanes<A> scaled = value * DoubleLanes<A>::all(134217729);
      return scaled - (scaled - value);
    };
    const DoubleLanes<A> a_high = high_of(a);
    const DoubleLanes<A> b_high = high_of(b);
    const DoubleLanes<A> a_low = a - a_high;
    const DoubleLanes<A> b_low = b - b_high;
    return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
  } else {
    return {product, fma(a, b, DoubleLanes<A>::all(0) - product)};
  }
}

// Sums of 16 lanes in two doubles each, at sums[i] and sums[i + 1].
template <class A>
struct WideSum {
  DoubleLanes<A> high;
  DoubleLanes<A> low;

  WideSum(const double* const* sums, int first, Index offset)
      : high(DoubleLanes<A>::load(sums[first] + offset)), low(DoubleLanes<A>::load(sums[first + 1] + offset)) {}

  void add(const DoubleLanes<A>& value, const DoubleLanes<A>& error) {
    const SumAndError<DoubleLanes<A>> result = two_sum(high, value);
    high = result.sum;
    low = low + (result.error + error);
  }
  void store(double* const* sums, int first, Index offset) const {
    high.store(sums[first] + offset);
    low.store(sums[first + 1] + offset);
  }
};

struct WideMomentsReduction {
  using Real = double;
  using Stored = double;
  static constexpr int kSources = 1;
  static constexpr int kSums = 4;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 8;
  static constexpr int kStreamsOfAvx512 = 1;

  template <class A>
  struct Block {
    using Center = DoubleLanes<A>;

    WideSum<A> deviations;
    WideSum<A> squares;

    Block(const double* const* sums, Index offset) : deviations(sums, 0, offset), squares(sums, 2, offset) {}

    template <class Row, class Parity>
    void add(const Row& row, const DoubleLanes<A>& center, Parity) {
      const DoubleLanes<A> zero = DoubleLanes<A>::all(0);
      const SumAndError<DoubleLanes<A>> deviation = two_sum(row.lanes(0), zero - center);
      deviations.add(deviation.sum, deviation.error);
      const SumAndError<DoubleLanes<A>> square = exact_product<A>(deviation.sum, deviation.sum);
      const DoubleLanes<A> cross = deviation.sum * deviation.error;
      squares.add(square.sum, square.error + (cross + cross));
    }

    void finish(double* const* sums, Index offset) const {
      deviations.store(sums, 0, offset);
      squares.store(sums, 2, offset);
    }
  };
};

struct WideGradientReduction {
  using Real = double;
  using Stored = double;
  static constexpr int kSources = 2;
  static constexpr int kSums = 6;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 4;
  static constexpr int kStreamsOfAvx512 = 1;

  template <class A>
  struct Block {
    using Center = DoubleLanes<A>;

    WideSum<A> gradients;
    WideSum<A> products;
    WideSum<A> deviations;

    Block(const double* const* sums, Index offset)
        : gradients(sums, 0, offset), products(sums, 2, offset), deviations(sums, 4, offset) {}

    template <class Row, class Parity>
    void add(const Row& row, const DoubleLanes<A>& center, Parity) {
      const DoubleLanes<A> zero = DoubleLanes<A>::all(0);
      const DoubleLanes<A> gradient = row.lanes(0);
      const SumAndError<DoubleLanes<A>> deviation = two_sum(row.lanes(1), zero - center);
      gradients.add(gradient, zero);
      const SumAndError<DoubleLanes<A>> product = exact_product<A>(gradient, deviation.sum);
      products.add(product.sum, product.error + gradient * deviation.error);
      deviations.add(deviation.sum, deviation.error);
    }

    void finish(double* const* sums, Index offset) const {
      gradients.store(sums, 0, offset);
      products.store(sums, 2, offset);
      deviations.store(sums, 4, offset);
    }
  };
};

// Which reduction elements computed in Real want.
template <class Real>
struct ReductionsOf {
  using Moments = MomentsReduction;
  using Gradients = GradientReduction;
};
template <>
struct ReductionsOf<double> {
  using Moments = WideMomentsReduction;
  using Gradients = WideGradientReduction;
};

}  // namespace
}  // namespace xbn::kernels
