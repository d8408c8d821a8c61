#pragma once

// What is summed of rows of 16 lanes, a block of at most kBlockRows rows at a time.

#include "kernels/storage.hpp"

namespace xbn::kernels {
namespace {

template <class A>
inline void add_to(double* sums, const DoubleLanes<A>& value) {
  (DoubleLanes<A>::load(sums) + value).store(sums);
}

// Which of a block's rows.
struct Even {};
struct Odd {};

// A reduction names its sources and sums, holds the sums of one block, says how one row of lanes enters them, and takes
// them to the sums in double. Lanes that are masked out are zero in every source and in `center`, and add zero.

// About a pivot: sum of x - pivot, sum of (x - pivot)^2. A block's are in single precision, in two chains of every
// other row: where most elements are equal, roundings do not average out, and half the length is half the error.
struct MomentsReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 1;
  static constexpr int kSums = 2;
  static constexpr bool kParityMatters = true;
  static constexpr Index kRowsAtOnce = 8;
  static constexpr int kStreamsOfAvx512 = 4;

  template <class A>
  struct Chain {
    Lanes<A> deviations = Lanes<A>::all(0);
    Lanes<A> squares = Lanes<A>::all(0);

    void add(const Lanes<A>& deviation) {
      deviations = deviations + deviation;
      squares = fma(deviation, deviation, squares);
    }
  };

  template <class A>
  struct Block {
    using Center = Lanes<A>;

    Chain<A> even;
    Chain<A> odd;

    Block(const double* const*, Index) {}

    template <class Row, class Parity>
    [[gnu::always_inline]] void add(const Row& row, const Lanes<A>& center, Parity) {
      (std::is_same_v<Parity, Even> ? even : odd).add(row.lanes(0) - center);
    }

    [[gnu::always_inline]] void finish(double* const* sums, Index offset) const {
      add_to(sums[0] + offset, widen(even.deviations + odd.deviations));
      add_to(sums[1] + offset, widen(even.squares + odd.squares));
    }
  };
};

// The sums of GradientReduction in registers of one kind, a register at a time: AVX2 has but 16. The work is shared out
// between the units that add and convert and those that multiply.
template <class Wide>
struct GradientLanes {
  using Arch = typename Wide::Arch;
  // One conversion to such a register keeps the units that add busy for as long as two additions do.
  static constexpr bool kConversionsWeigh = std::is_same_v<Arch, Avx512>;

  Wide gradients;
  Wide products;
  Wide deviations;

  static GradientLanes load(const double* const* sums, Index offset) {
    return {Wide::load(sums[0] + offset), Wide::load(sums[1] + offset), Wide::load(sums[2] + offset)};
  }
  void store(double* const* sums, Index offset) const {
    gradients.store(sums[0] + offset);
    products.store(sums[1] + offset);
    deviations.store(sums[2] + offset);
  }

  template <class Widened>
  void add(const Widened& dy, const Widened& x, const Wide& mean, Multiplier<Arch> multiplier) {
    const Wide gradient = dy.all();
    const Wide deviation = kConversionsWeigh ? multiplier.difference(x.all(), mean) : x.all() - mean;
    gradients = multiplier.sum(gradient, gradients);
    products = fma(gradient, deviation, products);
    deviations = multiplier.sum(deviation, deviations);
  }
};

template <class A, Index kCount>
struct GradientLanes<Pack<A, double, kCount, false>> {
  using Wide = Pack<A, double, kCount, false>;
  using Half = GradientLanes<typename Wide::Half>;

  Half low;
  Half high;

  [[gnu::always_inline]] static GradientLanes load(const double* const* sums, Index offset) {
    return {Half::load(sums, offset), Half::load(sums, offset + Wide::kHalf)};
  }
  void store(double* const* sums, Index offset) const {
    low.store(sums, offset);
    high.store(sums, offset + Wide::kHalf);
  }

  template <class Widened>
  void add(const Widened& dy, const Widened& x, const Wide& mean, Multiplier<A> multiplier) {
    low.add(dy.low(), x.low(), mean.low, multiplier);
    high.add(dy.high(), x.high(), mean.high, multiplier);
  }
};

// About the saved mean: sum of dy, sum of dy * (x - mean), sum of x - mean. Sources dy, x. In double throughout: the
// first two are differences of large numbers wherever dy has no mean to speak of, and dx keeps its bound there only if
// they keep more digits than single precision has. x is widened before the mean is taken off: from memory that costs
// less.
template <class A, class Wide>
struct GradientBlock {
  using Center = Wide;

  Multiplier<typename Wide::Arch> multiplier;
  GradientLanes<Wide> lanes;

  GradientBlock(const double* const* sums, Index offset) : lanes(GradientLanes<Wide>::load(sums, offset)) {}

  template <class Row, class Parity>
  [[gnu::always_inline]] void add(const Row& row, const Wide& center, Parity) {
    lanes.add(row.template widened<Wide>(0), row.template widened<Wide>(1), center, multiplier);
  }
  void finish(double* const* sums, Index offset) const { lanes.store(sums, offset); }
};

struct GradientReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 2;
  static constexpr int kSums = 3;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 4;
  static constexpr int kStreamsOfAvx512 = 2;

  template <class A>
  using Block = GradientBlock<A, DoubleLanes<A>>;
};

// The same in half registers, of which each converts faster on processors that work on AVX-512's in two halves.
struct HalvedGradientReduction : GradientReduction {
  static constexpr int kStreamsOfAvx512 = 1;

  template <class A>
  using Block = GradientBlock<A, DoubleLanes<HalfOf<A>>>;
};

// The same of elements of 16 bits, a block's in single precision, in two chains as moments are: what that loses is far
// less than one place of them. Numbers that it cannot hold are for GradientReduction.
struct BlockGradientReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 2;
  static constexpr int kSums = 3;
  static constexpr bool kParityMatters = true;
  static constexpr Index kRowsAtOnce = 8;
  static constexpr int kStreamsOfAvx512 = 2;

  template <class A>
  struct Chain {
    Lanes<A> gradients = Lanes<A>::all(0);
    Lanes<A> products = Lanes<A>::all(0);
    Lanes<A> deviations = Lanes<A>::all(0);

    void add(const Lanes<A>& gradient, const Lanes<A>& deviation) {
      gradients = gradients + gradient;
      products = fma(gradient, deviation, products);
      deviations = deviations + deviation;
    }
  };

  template <class A>
  struct Block {
    using Center = Lanes<A>;

    Chain<A> even;
    Chain<A> odd;

    Block(const double* const*, Index) {}

    template <class Row, class Parity>
    [[gnu::always_inline]] void add(const Row& row, const Lanes<A>& center, Parity) {
      (std::is_same_v<Parity, Even> ? even : odd).add(row.lanes(0), row.lanes(1) - center);
    }

    [[gnu::always_inline]] void finish(double* const* sums, Index offset) const {
      add_to(sums[0] + offset, widen(even.gradients + odd.gradients));
      add_to(sums[1] + offset, widen(even.products + odd.products));
      add_to(sums[2] + offset, widen(even.deviations + odd.deviations));
    }
  };
};

// A reduction of elements that are stored in another type than they are computed in.
template <class Reduction, class T>
struct OfStored : Reduction {
  using Stored = T;
};

// Sum of dy.
struct SumReduction {
  using Real = float;
  using Stored = float;
  static constexpr int kSources = 1;
  static constexpr int kSums = 1;
  static constexpr bool kParityMatters = false;
  static constexpr Index kRowsAtOnce = 4;
  static constexpr int kStreamsOfAvx512 = 4;

  template <class A>
  struct Block {
    using Center = Lanes<A>;

    DoubleLanes<A> sum;

    Block(const double* const* sums, Index offset) : sum(DoubleLanes<A>::load(sums[0] + offset)) {}

    template <class Row, class Parity>
    void add(const Row& row, const Lanes<A>&, Parity) {
      sum = sum + row.template widened<DoubleLanes<A>>(0).all();
    }
    void finish(double* const* sums, Index offset) const { sum.store(sums[0] + offset); }
  };
};

}  // namespace
}  // namespace xbn::kernels
