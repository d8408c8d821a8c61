#include <algorithm>
#include <array>
#include <cmath>
#include <gtest/gtest.h>

#include "every_isa.hpp"
#include "fused_cases.hpp"

namespace xbn::test {
namespace {

DataType real_of(const Problem& problem) { return problem.source == DataType::f64 ? DataType::f64 : DataType::f32; }

void expect_within_bounds(const Problem& problem, const FusedResults& actual, const FusedGradients& expected,
                          const FusedWanted& wanted = {}) {
  if (wanted.dx) {
    EXPECT_TRUE(within_bounds(problem.source, actual.dx, expected.dx)) << "dx";
  }
  if (wanted.dgamma) {
    EXPECT_TRUE(within_bounds(real_of(problem), actual.dgamma, expected.dgamma)) << "dgamma";
  }
  if (wanted.dbeta) {
    EXPECT_TRUE(within_bounds(real_of(problem), actual.dbeta, expected.dbeta)) << "dbeta";
  }
  if (problem.residual && wanted.d_residual) {
    EXPECT_TRUE(within_bounds(problem.destination, actual.d_residual, expected.d_residual)) << "d_residual";
  }
}

struct Case {
  FusedInputs in;
  FusedGradients expected;
  Reals z;
};

/// Batch statistics are the exact ones, which backward is given rounded: it makes up for what rounding the mean lost.
Case make_case(const Problem& problem, Statistics statistics, std::uint64_t seed) {
  Case result{make_inputs(problem, seed), {}, {}};
  FusedInputs& in = result.in;
  const FusedStatistics of = statistics == Statistics::batch ? save_statistics(problem, in) : given_statistics(in);
  avoid_kinks(problem, in, of);
  result.expected = gradients_of(problem, statistics, in, of);
  result.z = pre_activation(problem, in, of).value;
  return result;
}

class FusedBackwardTest : public EveryIsa {
 protected:
  template <class Check>
  static void for_each_layout(Problem problem, std::size_t i, Check check) {
    for (const Layout layout : layouts_of(shape_of(problem))) {
      problem.layout = layout;
      const FusedPlacement placement = placement_of(problem, i++);
      SCOPED_TRACE(to_string(problem) + " placement " + std::to_string(i - 1));
      check(BatchNorm(problem), placement);
    }
  }

  /// In place of x or dy where `placement_of` says so for forward; dx is of the source's type.
  static FusedPlacement backward_placement(const Problem& problem, FusedPlacement placement, std::size_t i) {
    placement.place = i % 4 == 1                                            ? Place::first
                      : i % 4 == 2 && problem.source == problem.destination ? Place::second
                                                                            : Place::separate;
    return placement;
  }

  static void check(Statistics statistics) {
    for_each_fused_problem([&](const Problem& problem, std::size_t i) {
      const Case c = make_case(problem, statistics, i + 1);
      std::size_t k = i;
      for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement& placement) {
        const std::vector<std::uint8_t> mask = mask_of(object.problem(), c.in, c.z);
        const FusedPlacement place = backward_placement(problem, placement, k++);
        expect_within_bounds(problem, run_backward(object, statistics, c.in, place, {}, mask), c.expected);
      });
    });
  }
};

TEST_P(FusedBackwardTest, BatchStatistics) { check(Statistics::batch); }
TEST_P(FusedBackwardTest, GivenStatistics) { check(Statistics::given); }

TEST_P(FusedBackwardTest, AnySubsetOfTheResults) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    if (shape_of(problem).elements() > 5000) return;
    const Statistics statistics = i % 2 == 0 ? Statistics::batch : Statistics::given;
    const Case c = make_case(problem, statistics, i + 1);
    unsigned subset = static_cast<unsigned>(i);
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.place = Place::separate;
      const std::vector<std::uint8_t> mask = mask_of(object.problem(), c.in, c.z);
      for (int times = 0; times < 5; ++times, subset += 3) {
        const FusedWanted wanted{(subset & 1) != 0, (subset & 2) != 0, (subset & 4) != 0, (subset & 8) != 0};
        SCOPED_TRACE(testing::Message() << "subset " << subset % 16 << " mask " << placement.mask);
        expect_within_bounds(problem, run_backward(object, statistics, c.in, placement, wanted, mask), c.expected,
                             wanted);
      }
    });
  });
}

TEST_P(FusedBackwardTest, ParametersAreOptional) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    if (i % 3 != 1) return;
    FusedInputs in = make_inputs(problem, i + 1);
    if (i % 2 == 0) in.gamma.clear();
    if (i % 4 < 3) in.beta.clear();
    const FusedStatistics of = save_statistics(problem, in);
    avoid_kinks(problem, in, of);
    const FusedGradients expected = gradients_of(problem, Statistics::batch, in, of);
    for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement&) {
      expect_within_bounds(problem, run_backward(object, Statistics::batch, in), expected);
    });
  });
}

TEST_P(FusedBackwardTest, GivenStatisticsNeedNoXWithAMaskOrWithoutActivation) {
  for (const TypePair& types : trained_types()) {
    for (const bool masked : {false, true}) {
      Problem problem{Layout::ncx, 3, 19, 20};
      problem.source = types.source;
      problem.destination = types.destination;
      problem.residual = true;
      if (masked) problem.activation = Activation::relu();
      Case c = make_case(problem, Statistics::given, 1);
      c.in.x.clear();
      c.in.residual.clear();
      c.in.mean.clear();
      c.in.beta.clear();
      for_each_layout(problem, 0, [&](const BatchNorm& object, FusedPlacement placement) {
        placement.place = Place::separate;
        placement.mask = masked;
        const FusedWanted wanted{true, false, true, true};
        const std::vector<std::uint8_t> mask = mask_of(object.problem(), c.in, c.z);
        expect_within_bounds(problem, run_backward(object, Statistics::given, c.in, placement, wanted, mask),
                             c.expected, wanted);
      });
    }
  }
}

// Channels of bf16 of which single precision does not hold products or their sums, beside some of which it does and,
// where there are as many, one without gradients.
TEST_P(FusedBackwardTest, SumsBeyondSinglePrecision) {
  struct Exponents {
    int x;
    int dy;
  };
  constexpr std::array kScales{Exponents{0, 0},    Exponents{60, 70},   Exponents{-60, -100},
                               Exponents{0, -105}, Exponents{10, -95},  Exponents{-60, 0},
                               Exponents{0, 118},  Exponents{-50, -55}, Exponents{40, -60}};
  for (const Shape& shape : {Shape{9, 20, 49}, Shape{3, 40, 1030}, Shape{40, 33, 1}, Shape{2, 9, 8200}}) {
    for (const Activation& activation : {Activation{}, Activation::relu(), Activation::leaky_relu()}) {
      const Problem problem = fused_problem(shape, DataType::bf16, DataType::bf16, activation);
      FusedInputs in = make_inputs(problem);
      for (std::size_t i = 0; i < in.x.size(); ++i) {
        const auto c = static_cast<std::size_t>(static_cast<std::int64_t>(i) / shape.spatial % shape.channels);
        const auto [of_x, of_dy] = kScales[c % kScales.size()];
        in.x[i] = std::ldexp(in.x[i], of_x);
        in.dy[i] = c == 17 ? 0 : std::ldexp(in.dy[i], of_dy);
        in.beta[c] = 0;
      }
      const FusedStatistics of = save_statistics(problem, in);
      avoid_kinks(problem, in, of);
      const FusedGradients expected = gradients_of(problem, Statistics::batch, in, of);
      const Reals z = pre_activation(problem, in, of).value;
      for_each_layout(problem, 0, [&](const BatchNorm& object, FusedPlacement placement) {
        placement.place = Place::separate;
        placement.mask = activation.kind == ActivationKind::relu;
        const std::vector<std::uint8_t> mask = mask_of(object.problem(), in, z);
        expect_within_bounds(problem, run_backward(object, Statistics::batch, in, placement, {}, mask), expected);
      });
    }
  }
}

// What forward saved, mask included, on both sides of 0 and of the bound.
TEST_P(FusedBackwardTest, FromWhatForwardSaved) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    if (i % 2 != 0) return;
    FusedInputs in = make_inputs(problem, i + 1);
    const FusedStatistics of = save_statistics(problem, in);
    avoid_kinks(problem, in, of);
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.place = Place::separate;
      placement.mask = problem.activation.kind == ActivationKind::relu;
      const FusedOutputs out = run_training(object, in, placement);
      FusedInputs saved = in;
      saved.mean = out.mean;
      saved.variance = out.variance;
      FusedStatistics with_saved = of;
      with_saved.variance.assign(out.variance.begin(), out.variance.end());
      const FusedGradients expected = gradients_of(problem, Statistics::batch, saved, with_saved);
      expect_within_bounds(problem, run_backward(object, Statistics::batch, saved, placement, {}, out.mask), expected);
    });
  });
}

// A gradient that is NaN or infinite comes to nothing where ReLU's derivative is 0, with a mask and without.
TEST_P(FusedBackwardTest, ReluSelectsItDoesNotMultiply) {
  for (const TypePair& types : trained_types()) {
    for (const bool masked : {false, true}) {
      Problem problem{Layout::ncx, 3, 19, 20};
      problem.source = types.source;
      problem.destination = types.destination;
      problem.activation = masked ? Activation::relu() : Activation::clipped_relu(0.5F);
      Case c = make_case(problem, Statistics::batch, 1);
      for (std::size_t i = 0; i < c.in.dy.size(); ++i) {
        const bool passes = c.z[i] > 0 && (masked || c.z[i] < 0.5L);
        if (!passes) c.in.dy[i] = i % 2 == 0 ? std::nan("") : HUGE_VAL;
      }
      for_each_layout(problem, 0, [&](const BatchNorm& object, FusedPlacement placement) {
        placement.place = Place::separate;
        placement.mask = masked;
        const std::vector<std::uint8_t> mask = mask_of(object.problem(), c.in, c.z);
        expect_within_bounds(problem, run_backward(object, Statistics::batch, c.in, placement, {}, mask), c.expected);
      });
    }
  }
}

TEST_P(FusedBackwardTest, AnEmptyBatchHasNoGradients) {
  for (const TypePair& types : trained_types()) {
    Problem problem{Layout::nxc, 0, 3, 4};
    problem.source = types.source;
    problem.destination = types.destination;
    problem.activation = Activation::silu();
    problem.residual = true;
    const FusedInputs in{{}, {}, {}, {}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {}, {}};
    const FusedResults out = run_backward(BatchNorm(problem), Statistics::batch, in);
    EXPECT_EQ(out.dgamma, Doubles(3));
    EXPECT_EQ(out.dbeta, Doubles(3));
  }
}

/// From y in place of x, over the activations that have an inverse.
class FromOutputTest : public FusedBackwardTest {
 protected:
  template <class Visit>
  static void for_each_problem(Visit visit) {
    using enum DataType;
    std::size_t i = 0;
    for (const DataType type : {f32, f64, bf16, f16}) {
      for (const Activation& activation :
           {Activation{}, Activation::leaky_relu(0.125F), Activation::sigmoid(), Activation::tanh()}) {
        for (const std::size_t k : {0U, 7U, 4U}) {
          const Shape shape = fused_shapes()[(i + k) % fused_shapes().size()];
          Problem problem{Layout::ncx, shape.batch, shape.channels, shape.spatial};
          problem.source = problem.destination = type;
          problem.activation = activation;
          problem.backward_from_output = true;
          if (i % 3 == 2) problem.epsilon_placement = EpsilonPlacement::outside_root;
          visit(problem, i++);
        }
      }
    }
  }

  /// The y that forward makes of x, as the type holds it.
  static FusedInputs inputs_with_y(const Problem& problem, Statistics statistics, std::uint64_t seed,
                                   FusedStatistics& of) {
    FusedInputs in = make_inputs(problem, seed);
    of = statistics == Statistics::batch ? save_statistics(problem, in) : given_statistics(in);
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, of));
    const ActivationKind kind = problem.activation.kind;
    for (const long double value : y.value) {
      auto held = static_cast<double>(rounded_to(problem.destination, value));
      // The ends of the range have no inverse.
      const double most = problem.source == DataType::f64 ? 1 - 0x1p-53 : 1 - 0x1p-8;
      if (kind == ActivationKind::sigmoid || kind == ActivationKind::tanh) held = std::clamp(held, -most, most);
      if (kind == ActivationKind::sigmoid) held = std::max(held, 0x1p-14);
      in.y.push_back(held);
    }
    in.x.clear();
    return in;
  }
};

TEST_P(FromOutputTest, GradientsFollowFromY) {
  for_each_problem([](const Problem& problem, std::size_t i) {
    for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
      FusedStatistics of;
      const FusedInputs in = inputs_with_y(problem, statistics, i + 1, of);
      const FusedGradients expected = gradients_of_output(problem, statistics, in, of);
      std::size_t k = i;
      for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
        placement = backward_placement(problem, placement, k++);
        const FusedResults actual = run_backward(object, statistics, in, placement);
        expect_within_bounds(problem, actual, expected);
        EXPECT_EQ(actual.saturated, saturated_of(problem, in));
      });
    }
  });
}

TEST_P(FromOutputTest, SaturatedElementsAreCounted) {
  for_each_problem([](const Problem& problem, std::size_t i) {
    const ActivationKind kind = problem.activation.kind;
    if (kind != ActivationKind::sigmoid && kind != ActivationKind::tanh) return;
    FusedStatistics of;
    FusedInputs in = inputs_with_y(problem, Statistics::batch, i + 1, of);
    // Distances from 1 about each type's own limit, and numbers about the least normal ones.
    for (std::size_t k = 0; k < in.y.size(); ++k) {
      const int exponent = static_cast<int>(k / 5 % 30);
      const double distance = (1 + 0.125 * (static_cast<double>(k % 3) - 1)) * std::ldexp(1.0, -exponent);
      long double y = 1 - distance;
      if (k % 5 == 1) y = 1 - std::ldexp(1.0, -exponent);
      if (k % 5 == 2) y = std::ldexp(1.0, -exponent * (problem.source == DataType::f64 ? 36 : 5));
      if (k % 5 == 3) y = exponent % 3 == 0 ? 0 : 1;
      if (kind == ActivationKind::tanh && k % 2 == 0) y = -y;
      in.y[k] = static_cast<double>(rounded_to(problem.source, y));
    }
    const std::vector<std::int64_t> expected = saturated_of(problem, in);
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.place = Place::separate;
      const FusedResults actual = run_backward(object, Statistics::batch, in, placement);
      EXPECT_EQ(actual.saturated, expected);
      for (const Doubles* values : {&actual.dx, &actual.dgamma, &actual.dbeta}) {
        EXPECT_TRUE(std::all_of(values->begin(), values->end(), [](double value) { return std::isfinite(value); }));
      }
      const FusedWanted nothing{false, false, false, false};
      EXPECT_EQ(run_backward(object, Statistics::given, in, placement, nothing).saturated, expected);
    });
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, FusedBackwardTest, testing::ValuesIn(compiled_isas()), isa_name);
INSTANTIATE_TEST_SUITE_P(Isa, FromOutputTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
