#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "every_isa.hpp"
#include "fused_cases.hpp"

namespace xbn::test {
namespace {

DataType real_of(const Problem& problem) { return problem.source == DataType::f64 ? DataType::f64 : DataType::f32; }

Reals widest(const Doubles& values) { return {values.begin(), values.end()}; }

class FusedForwardTest : public EveryIsa {
 protected:
  static bool fuses() { return GetParam() != Isa::sse2; }

  /// Calls check(problem) with each layout that the problem's shape has, and a placement for each.
  template <class Check>
  static void for_each_layout(Problem problem, std::size_t i, Check check) {
    for (const Layout layout : layouts_of(shape_of(problem))) {
      problem.layout = layout;
      const FusedPlacement placement = placement_of(problem, i++);
      SCOPED_TRACE(to_string(problem) + " placement " + std::to_string(i - 1));
      check(BatchNorm(problem), placement);
    }
  }

  /// Bits tell y > 0 from y = 0 where y is not rounded to less than z: normal data are nowhere that close to 0.
  static void expect_mask(const Problem& problem, const FusedInputs& in, const FusedOutputs& out) {
    if (out.mask.empty()) return;
    EXPECT_EQ(out.mask, mask_of(problem, in, widest(out.y)));
  }

  /// The float, or double, that folded computes before the activation.
  template <class Real>
  static Reals exact_pre_activation(const Problem& problem, const FusedInputs& in) {
    Reals z(in.x.size());
    for (std::size_t i = 0; i < z.size(); ++i) {
      const std::size_t c = i / problem.spatial % problem.channels;
      const Real x = static_cast<Real>(in.x[i]) - (in.mean.empty() ? Real(0) : static_cast<Real>(in.mean[c]));
      const Real scale = static_cast<Real>(in.gamma[c]), shift = static_cast<Real>(in.beta[c]);
      const Real normalised = fuses() ? std::fma(x, scale, shift) : x * scale + shift;
      z[i] = problem.residual ? normalised + static_cast<Real>(in.residual[i]) : normalised;
    }
    return z;
  }
  static Reals exact_pre_activation(const Problem& problem, const FusedInputs& in) {
    return problem.source == DataType::f64 ? exact_pre_activation<double>(problem, in)
                                           : exact_pre_activation<float>(problem, in);
  }
};

TEST_P(FusedForwardTest, Training) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    const FusedInputs in = make_inputs(problem, i + 1);
    const FusedStatistics batch = statistics_of(problem, in);
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, batch));
    for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement& placement) {
      const FusedOutputs out = run_training(object, in, placement);
      EXPECT_TRUE(within_bounds(real_of(problem), out.mean, bounded_mean(problem, batch))) << "mean";
      EXPECT_TRUE(within_bounds(real_of(problem), out.variance, bounded_variance(problem, batch))) << "variance";
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y)) << "y";
      expect_mask(object.problem(), in, out);
    });
  });
}

TEST_P(FusedForwardTest, Inference) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    const FusedInputs in = make_inputs(problem, i + 1);
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, given_statistics(in)));
    for_each_layout(problem, i + 1, [&](const BatchNorm& object, const FusedPlacement& placement) {
      const FusedOutputs out = run_inference(object, in, placement);
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y)) << "y";
      expect_mask(object.problem(), in, out);
    });
  });
}

// Parameters that are null are all ones and all zeros.
TEST_P(FusedForwardTest, ParametersAreOptional) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    if (i % 3 != 0) return;
    FusedInputs in = make_inputs(problem, i + 1);
    if (i % 2 == 0) in.gamma.clear();
    if (i % 4 < 3) in.beta.clear();
    const Bounded trained = forward_of(problem, in, pre_activation(problem, in, statistics_of(problem, in)));
    const Bounded inferred = forward_of(problem, in, pre_activation(problem, in, given_statistics(in)));
    for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement&) {
      EXPECT_TRUE(within_bounds(problem.destination, run_training(object, in).y, trained)) << "training";
      EXPECT_TRUE(within_bounds(problem.destination, run_inference(object, in).y, inferred)) << "inference";
    });
  });
}

TEST_P(FusedForwardTest, FoldedToTwoNumbersOrThree) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    FusedInputs in = make_inputs(problem, i + 1);
    if (i % 2 == 0) in.mean.clear();
    // All that may be off is the activation.
    Bounded z{exact_pre_activation(problem, in), Reals(in.x.size())};
    const Bounded y = forward_of(problem, in, z);
    for_each_layout(problem, i + 2, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.mask = problem.activation.kind == ActivationKind::relu;
      const FusedOutputs out = run_folded(object, in, placement);
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y)) << "y";
      if (!placement.mask) return;
      EXPECT_EQ(out.mask, mask_of(object.problem(), in, z.value));
    });
  });
}

// Large and small enough that all of the masks' bytes differ from case to case, whatever the run's length.
TEST_P(FusedForwardTest, MasksOfEveryLengthOfRun) {
  for (std::int64_t length = 1; length < 70; ++length) {
    for (const bool planes : {false, true}) {
      Problem problem{Layout::ncx, 2, planes ? 3 : length, planes ? length : 3};
      problem.activation = Activation::relu();
      problem.destination = length % 2 == 0 ? DataType::bf16 : DataType::f32;
      FusedInputs in = make_inputs(problem, static_cast<std::uint64_t>(length));
      // Zeros of either sign, which have no bit.
      for (std::size_t i = 0; i < in.x.size(); i += 5) in.x[i] = i % 2 == 0 ? 0.0 : -0.0;
      in.mean.clear();
      for (double& shift : in.beta) shift = 0;
      const Reals z = exact_pre_activation(problem, in);
      for_each_layout(problem, static_cast<std::size_t>(length),
                      [&](const BatchNorm& object, FusedPlacement placement) {
                        placement.mask = true;
                        EXPECT_EQ(run_folded(object, in, placement).mask, mask_of(object.problem(), in, z));
                      });
    }
  }
}

TEST_P(FusedForwardTest, NaNStaysNaNAndItsBitIsSet) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    FusedInputs in = make_inputs(problem, i + 1);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (std::size_t k = i % 7; k < in.x.size(); k += 7) (problem.residual && k % 2 == 0 ? in.residual : in.x)[k] = nan;
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, given_statistics(in)));
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.mask = problem.activation.kind == ActivationKind::relu;
      const FusedOutputs out = run_inference(object, in, placement);
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y)) << "y";
      expect_mask(object.problem(), in, out);
    });
  });
}

TEST_P(FusedForwardTest, NaNInTrainingTouchesItsChannelOnly) {
  for (const TypePair& types : trained_types()) {
    Problem problem{Layout::ncx, 3, 19, 20};
    problem.source = types.source;
    problem.destination = types.destination;
    problem.activation = Activation::relu();
    FusedInputs in = make_inputs(problem);
    in.x[5 * 20 + 7] = std::numeric_limits<double>::quiet_NaN();
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, statistics_of(problem, in)));
    for_each_layout(problem, 0, [&](const BatchNorm& object, const FusedPlacement&) {
      const FusedOutputs out = run_training(object, in);
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y));
      EXPECT_TRUE(std::isnan(out.mean[5]) && std::isnan(out.variance[5]));
    });
  }
}

TEST_P(FusedForwardTest, RunningStatistics) {
  for_each_fused_problem([](const Problem& problem, std::size_t i) {
    if (i % 4 > 1) return;
    const FusedInputs in = make_inputs(problem, i + 1);
    const FusedStatistics batch = statistics_of(problem, in);
    const bool unbiased = i % 8 < 4;
    const RunningUpdate update =
        RunningUpdate::pytorch(0.25, unbiased ? VarianceEstimate::unbiased : VarianceEstimate::population);
    Bounded mean = bounded_mean(problem, batch), variance = bounded_variance(problem, batch);
    const auto count = static_cast<long double>(batch.count);
    for (std::int64_t c = 0; c < problem.channels; ++c) {
      const bool one = unbiased && batch.count == 1;
      const long double of_sample = unbiased && !one ? variance.value[c] * count / (count - 1) : variance.value[c];
      mean.value[c] = 0.75L * 2 + 0.25L * mean.value[c];
      variance.value[c] = one ? 3 : 0.75L * 3 + 0.25L * of_sample;
      mean.allowed[c] += 2 * ulp_of(problem) * 2;
      variance.allowed[c] = variance.allowed[c] * 2 + 2 * ulp_of(problem) * 3;
    }
    for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement& placement) {
      Running running{Doubles(problem.channels, 2), Doubles(problem.channels, 3), update};
      run_training(object, in, placement, &running);
      EXPECT_TRUE(within_bounds(real_of(problem), running.mean, mean)) << "running mean";
      EXPECT_TRUE(within_bounds(real_of(problem), running.variance, variance)) << "running variance";
    });
  });
}

TEST_P(FusedForwardTest, EmptyTensorsAreLeftAlone) {
  for (const Shape& shape : {Shape{0, 3, 4}, Shape{2, 3, 0}}) {
    for (const TypePair& types : trained_types()) {
      Problem problem{Layout::ncx, shape.batch, shape.channels, shape.spatial};
      problem.source = types.source;
      problem.destination = types.destination;
      problem.activation = Activation::relu();
      for_each_layout(problem, 0, [&](const BatchNorm& object, const FusedPlacement&) {
        EXPECT_EQ(object.mask_bytes(), 0U);
        const FusedInputs in{{}, {}, {}, {}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {}, {}};
        EXPECT_TRUE(run_inference(object, in).y.empty());
        EXPECT_TRUE(run_folded(object, in).y.empty());
      });
      // Nothing to point to: a null tensor has no type to be wrong.
      const BatchNorm object(problem);
      const std::vector<float> parameters(3, 1.0F);
      if (types.source == DataType::f64) continue;
      ForwardInference inference;
      inference.x = nullptr;
      inference.y = nullptr;
      inference.mean = inference.variance = parameters.data();
      EXPECT_NO_THROW(object.forward_inference(inference));
      ForwardFolded folded;
      folded.x = nullptr;
      folded.y = nullptr;
      folded.scale = folded.shift = parameters.data();
      EXPECT_NO_THROW(object.forward_folded(folded));
    }
  }
}

class IntegerForwardTest : public FusedForwardTest {
 protected:
  /// Every pair with an integer in it, with every activation.
  template <class Visit>
  static void for_each_problem(Visit visit) {
    using enum DataType;
    std::size_t i = 0;
    for (const DataType source : {s8, u8, f32}) {
      for (const DataType destination : {s8, u8, f32}) {
        if (source == f32 && destination == f32) continue;
        for (const Activation& activation : every_activation()) {
          const Shape shape = fused_shapes()[i % fused_shapes().size()];
          Problem problem{Layout::ncx, shape.batch, shape.channels, shape.spatial};
          problem.source = source;
          problem.destination = destination;
          problem.activation = activation;
          if (activation.kind == ActivationKind::clipped_relu) problem.activation.bound = 90;
          FusedInputs in = make_inputs(problem, i + 1);
          // Over the whole range of a byte and beyond it.
          const double wide = destination == f32 ? 1 : 60;
          for (std::int64_t c = 0; c < problem.channels; ++c) {
            in.gamma[c] = static_cast<float>(in.gamma[c] * wide);
            in.beta[c] = static_cast<float>(in.beta[c] * wide);
          }
          visit(problem, in, i++);
        }
      }
    }
  }
};

TEST_P(IntegerForwardTest, FoldedIsExact) {
  for_each_problem([](const Problem& problem, FusedInputs& in, std::size_t i) {
    for (double& scale : in.gamma) scale = static_cast<float>(scale / (problem.source == DataType::f32 ? 1 : 30));
    if (i % 2 == 0) in.mean.clear();
    // Halves, whose rounding tells nearest even from others.
    in.gamma[0] = 0.5;
    in.beta[0] = 3;
    if (!in.mean.empty()) in.mean[0] = 100;
    const Bounded z{exact_pre_activation(problem, in), Reals(in.x.size())};
    const Bounded y = forward_of(problem, in, z);
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.mask = problem.activation.kind == ActivationKind::relu;
      const FusedOutputs out = run_folded(object, in, placement);
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y));
      if (!placement.mask) return;
      EXPECT_EQ(out.mask, mask_of(object.problem(), in, z.value));
    });
  });
}

TEST_P(IntegerForwardTest, Inference) {
  for_each_problem([](const Problem& problem, const FusedInputs& in, std::size_t i) {
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, given_statistics(in)));
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.mask = false;
      EXPECT_TRUE(within_bounds(problem.destination, run_inference(object, in, placement).y, y));
    });
  });
}

TEST_P(IntegerForwardTest, NaNAndInfinityAreSaturated) {
  for (const DataType destination : {DataType::s8, DataType::u8}) {
    Problem problem{Layout::ncx, 2, 5, 37};
    problem.destination = destination;
    FusedInputs in = make_inputs(problem);
    in.mean.clear();
    const double infinity = std::numeric_limits<double>::infinity();
    const double values[] = {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity, 3e9, -3e9, 1e30, -1e30};
    for (std::size_t i = 0; i < in.x.size(); ++i) in.x[i] = static_cast<float>(values[i % 7]);
    for (double& scale : in.gamma) scale = 1;
    const Bounded y{exact_pre_activation(problem, in), Reals(in.x.size())};
    for_each_layout(problem, 0, [&](const BatchNorm& object, const FusedPlacement&) {
      EXPECT_TRUE(within_bounds(destination, run_folded(object, in).y, y));
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, FusedForwardTest, testing::ValuesIn(compiled_isas()), isa_name);
INSTANTIATE_TEST_SUITE_P(Isa, IntegerForwardTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
