// Samples of unequal length and weight.

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "every_isa.hpp"
#include "fused_cases.hpp"
#include "refusal.hpp"

namespace xbn::test {
namespace {

DataType real_of(const Problem& problem) { return problem.source == DataType::f64 ? DataType::f64 : DataType::f32; }

class SequencesTest : public EveryIsa {
 protected:
  template <class Check>
  static void for_each_layout(Problem problem, std::size_t i, Check check) {
    for (const Layout layout : layouts_of(shape_of(problem))) {
      problem.layout = layout;
      FusedPlacement placement = placement_of(problem, i++);
      SCOPED_TRACE(to_string(problem) + " placement " + std::to_string(i - 1));
      check(BatchNorm(problem), placement);
    }
  }

  /// Lengths, weights and both, over types, activations, residual and shapes; the inputs hold NaN beyond the lengths.
  template <class Visit>
  static void for_each_problem(Visit visit) {
    const Shape shapes[] = {{9, 3, 1},  {7, 16, 20}, {5, 17, 9},  {40, 8, 3},
                            {6, 33, 4}, {9, 65, 1},  {2, 40, 30}, {2, 1, 8300}};
    for_each_fused_problem([&](Problem problem, std::size_t i) {
      const Shape& shape = shapes[(i + i / 14) % std::size(shapes)];
      problem.batch = shape.batch;
      problem.channels = shape.channels;
      problem.spatial = shape.spatial;
      problem.lengths = i % 3 != 1;
      problem.weights = i % 3 != 0;
      visit(problem, i);
    });
  }

  static void expect_gradients(const Problem& problem, const FusedResults& actual, const FusedGradients& expected) {
    EXPECT_TRUE(within_bounds(problem.source, actual.dx, expected.dx)) << "dx";
    EXPECT_TRUE(within_bounds(real_of(problem), actual.dgamma, expected.dgamma)) << "dgamma";
    EXPECT_TRUE(within_bounds(real_of(problem), actual.dbeta, expected.dbeta)) << "dbeta";
    if (!problem.residual) return;
    EXPECT_TRUE(within_bounds(problem.destination, actual.d_residual, expected.d_residual)) << "d_residual";
  }

  static void expect_training(const Problem& problem, std::size_t i, const FusedInputs& in) {
    const FusedStatistics batch = statistics_of(problem, in);
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, batch));
    for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement& placement) {
      const FusedOutputs out = run_training(object, in, placement);
      EXPECT_TRUE(within_bounds(real_of(problem), out.mean, bounded_mean(problem, batch))) << "mean";
      EXPECT_TRUE(within_bounds(real_of(problem), out.variance, bounded_variance(problem, batch))) << "variance";
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y)) << "y";
      if (out.mask.empty()) return;
      EXPECT_EQ(out.mask, mask_of(object.problem(), in, {out.y.begin(), out.y.end()}));
    });
  }

  static void expect_backward(const Problem& problem, Statistics statistics, std::size_t i, FusedInputs in) {
    const FusedStatistics of = statistics == Statistics::batch ? save_statistics(problem, in) : given_statistics(in);
    avoid_kinks(problem, in, of);
    const FusedGradients expected = gradients_of(problem, statistics, in, of);
    const Reals z = pre_activation(problem, in, of).value;
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.place = i % 4 == 1                                            ? Place::first
                        : i % 4 == 2 && problem.source == problem.destination ? Place::second
                                                                              : Place::separate;
      const std::vector<std::uint8_t> mask = mask_of(object.problem(), in, z);
      expect_gradients(problem, run_backward(object, statistics, in, placement, {}, mask), expected);
    });
  }
};

TEST_P(SequencesTest, Training) {
  for_each_problem(
      [](const Problem& problem, std::size_t i) { expect_training(problem, i, make_inputs(problem, i + 1)); });
}

TEST_P(SequencesTest, InferenceAndFolded) {
  for_each_problem([](Problem problem, std::size_t i) {
    if (i % 2 == 0) return;
    problem.lengths = true;
    FusedInputs in = make_inputs(problem, i + 1);
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, given_statistics(in)));
    for_each_layout(problem, i, [&](const BatchNorm& object, const FusedPlacement& placement) {
      const FusedOutputs out = run_inference(object, in, placement);
      EXPECT_TRUE(within_bounds(problem.destination, out.y, y));
      const auto expect_void = [&](const FusedOutputs& of) {
        for (std::size_t k = 0; k < of.y.size(); ++k) {
          const auto index = static_cast<std::int64_t>(k);
          const std::int64_t n = index / (problem.channels * problem.spatial);
          if (is_valid(in, n, index % problem.spatial)) {
            ASSERT_FALSE(std::isnan(of.y[k]));
          } else {
            ASSERT_TRUE(of.y[k] == 0 && !std::signbit(of.y[k])) << of.y[k] << " at " << k;
          }
        }
        if (of.mask.empty()) return;
        EXPECT_EQ(of.mask, mask_of(object.problem(), in, {of.y.begin(), of.y.end()}));
      };
      expect_void(out);
      expect_void(run_folded(object, in, placement));
    });
  });
}

TEST_P(SequencesTest, BackwardWithBatchStatistics) {
  for_each_problem([](const Problem& problem, std::size_t i) {
    expect_backward(problem, Statistics::batch, i, make_inputs(problem, i + 1));
  });
}

TEST_P(SequencesTest, BackwardWithGivenStatistics) {
  for_each_problem([](const Problem& problem, std::size_t i) {
    if (i % 2 == 1) return;
    expect_backward(problem, Statistics::given, i, make_inputs(problem, i + 1));
  });
}

TEST_P(SequencesTest, BackwardFromTheOutput) {
  for_each_problem([](Problem problem, std::size_t i) {
    const ActivationKind kind = problem.activation.kind;
    if (kind != ActivationKind::none && kind != ActivationKind::leaky_relu && kind != ActivationKind::sigmoid) return;
    problem.residual = false;
    problem.source = problem.destination = i % 2 == 0 ? DataType::f32 : DataType::f64;
    problem.backward_from_output = true;
    FusedInputs in = make_inputs(problem, i + 1);
    const FusedStatistics of = save_statistics(problem, in);
    const Bounded y = forward_of(problem, in, pre_activation(problem, in, of));
    for (std::size_t k = 0; k < y.value.size(); ++k) {
      const bool is_void = std::isnan(in.x[k]);
      in.y.push_back(is_void ? in.x[k] : static_cast<double>(rounded_to(problem.source, y.value[k])));
    }
    in.x.clear();
    const FusedGradients expected = gradients_of_output(problem, Statistics::batch, in, of);
    for_each_layout(problem, i, [&](const BatchNorm& object, FusedPlacement placement) {
      placement.place = Place::separate;
      const FusedResults actual = run_backward(object, Statistics::batch, in, placement);
      expect_gradients(problem, actual, expected);
      EXPECT_EQ(actual.saturated, saturated_of(problem, in));
    });
  });
}

TEST_P(SequencesTest, FullLengthsAndWeightsOfOneChangeNothing) {
  for_each_problem([](Problem problem, std::size_t i) {
    if (i % 4 != 0) return;
    problem.lengths = problem.weights = false;
    FusedInputs in = make_inputs(problem, i + 1);
    in.lengths.assign(static_cast<std::size_t>(problem.batch), problem.spatial);
    in.weights.assign(static_cast<std::size_t>(problem.batch), 1);
    problem.lengths = problem.weights = true;
    expect_training(problem, i, in);
    expect_backward(problem, Statistics::batch, i, in);
  });
}

// Whole samples of weight 0 are left out by selection too: 0 * NaN would be NaN.
TEST_P(SequencesTest, ASampleOfWeightZeroMayHoldNaN) {
  for (const TypePair& types : trained_types()) {
    Problem problem{Layout::ncx, 4, 19, 20};
    problem.source = types.source;
    problem.destination = types.destination;
    problem.weights = true;
    FusedInputs in = make_inputs(problem);
    ASSERT_EQ(in.weights[1], 0);
    in.x[19 * 20 + 33] = std::numeric_limits<double>::quiet_NaN();
    expect_training(problem, 0, in);
  }
}

// One sample, or one element, is left; statistics of it alone.
TEST_P(SequencesTest, AllButOneSampleAreEmpty) {
  for (const TypePair& types : trained_types()) {
    for (const std::int64_t length : {1, 2, 31}) {
      Problem problem{Layout::ncx, 6, 19, 31};
      problem.source = types.source;
      problem.destination = types.destination;
      problem.activation = Activation::relu();
      FusedInputs in = make_inputs(problem);
      problem.lengths = problem.weights = true;
      in.lengths = {0, 0, 5, 0, length, 0};
      in.weights = {1, 1, 0, 2, 0.5, 0};
      expect_training(problem, 1, in);
      expect_backward(problem, Statistics::given, 1, in);
    }
  }
}

TEST_P(SequencesTest, RunningStatisticsCountValidElements) {
  for (const TypePair& types : trained_types()) {
    for (const bool weights : {false, true}) {
      Problem problem{Layout::ncx, 7, 19, 12};
      problem.source = types.source;
      problem.destination = types.destination;
      problem.lengths = true;
      problem.weights = weights;
      const FusedInputs in = make_inputs(problem);
      const FusedStatistics batch = statistics_of(problem, in);
      const RunningUpdate update =
          RunningUpdate::pytorch(0.5, weights ? VarianceEstimate::population : VarianceEstimate::unbiased);
      Bounded variance = bounded_variance(problem, batch), mean = bounded_mean(problem, batch);
      const auto count = static_cast<long double>(batch.count);
      for (std::int64_t c = 0; c < problem.channels; ++c) {
        variance.value[c] = 1 + variance.value[c] / 2 * (weights ? 1 : count / (count - 1));
        variance.allowed[c] = 2 * variance.allowed[c] + 4 * ulp_of(problem);
        mean.value[c] = 1 + mean.value[c] / 2;
        mean.allowed[c] += 4 * ulp_of(problem);
      }
      for_each_layout(problem, 0, [&](const BatchNorm& object, const FusedPlacement&) {
        Running running{Doubles(problem.channels, 2), Doubles(problem.channels, 2), update};
        run_training(object, in, {}, &running);
        EXPECT_TRUE(within_bounds(real_of(problem), running.mean, mean)) << "running mean";
        EXPECT_TRUE(within_bounds(real_of(problem), running.variance, variance)) << "running variance";
      });
    }
  }
}

TEST_P(SequencesTest, AnUnbiasedVarianceOfOneValidElementIsLeftOut) {
  Problem problem{Layout::nxc, 3, 5, 4};
  problem.lengths = true;
  FusedInputs in = make_inputs(problem);
  in.lengths = {0, 1, 0};
  in.x.assign(in.x.size(), 3);
  Running running{Doubles(5, 2), Doubles(5, 7), RunningUpdate::pytorch(0.5)};
  const FusedOutputs out = run_training(BatchNorm(problem), in, {}, &running);
  EXPECT_EQ(out.mean, Doubles(5, 3));
  EXPECT_EQ(out.variance, Doubles(5));
  EXPECT_EQ(running.mean, Doubles(5, 2.5));
  EXPECT_EQ(running.variance, Doubles(5, 7));
}

TEST_P(SequencesTest, WhatCannotBeIsRefused) {
  for (const DataType type : {DataType::f32, DataType::f64, DataType::bf16}) {
    Problem problem{Layout::ncx, 3, 2, 4};
    problem.source = problem.destination = type;
    problem.lengths = problem.weights = true;
    const BatchNorm object(problem);
    const auto forward = [&](std::vector<std::int64_t> lengths, Doubles weights, Running* running = nullptr) {
      FusedInputs in = make_inputs(problem);
      in.lengths = std::move(lengths);
      in.weights = std::move(weights);
      const std::string backward = message_of([&] { run_backward(object, Statistics::batch, in); });
      const std::string message = message_of([&] { run_training(object, in, {}, running); });
      if (running == nullptr) {
        EXPECT_EQ(backward, message);
      }
      return message;
    };
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_EQ(forward({4, 5, 0}, {1, 1, 1}), "lengths[1] must be from 0 to 4, was 5");
    EXPECT_EQ(forward({4, 4, -1}, {1, 1, 1}), "lengths[2] must be from 0 to 4, was -1");
    EXPECT_EQ(forward({4, 4, 4}, {1, -0.5, 1}), "weights[1] must be finite and at least 0, was -0.5");
    EXPECT_EQ(forward({4, 4, 4}, {std::nan(""), 1, 1}), "weights[0] must be finite and at least 0, was nan");
    EXPECT_EQ(forward({4, 4, 4}, {1, 1, infinity}), "weights[2] must be finite and at least 0, was inf");
    const std::string nothing = "weights must leave at least one element for statistics over the batch, was all zero";
    EXPECT_EQ(forward({4, 4, 4}, {0, 0, 0}), nothing);
    EXPECT_EQ(forward({0, 4, 0}, {1, 0, 1}), nothing);
    EXPECT_EQ(forward({}, {1, 1, 1}), "lengths must not be null, was null");
    EXPECT_EQ(forward({4, 4, 4}, {}), "weights must not be null, was null");
    Running running{{1, 1}, {1, 1}, RunningUpdate::pytorch()};
    EXPECT_EQ(forward({4, 4, 4}, {1, 1, 1}, &running),
              "running.update.estimate must be population with weights, was unbiased");
    EXPECT_EQ(running.mean, Doubles(2, 1));
  }
}

TEST_P(SequencesTest, LengthsAloneMustLeaveAnElement) {
  Problem problem{Layout::ncx, 3, 2, 4};
  FusedInputs in = make_inputs(problem);
  problem.lengths = true;
  in.lengths = {0, 0, 0};
  const BatchNorm object(problem);
  const std::string refusal = "lengths must leave at least one element for statistics over the batch, was all zero";
  EXPECT_EQ(message_of([&] { run_training(object, in); }), refusal);
  EXPECT_EQ(message_of([&] { run_backward(object, Statistics::batch, in); }), refusal);
  // No statistics are taken here.
  EXPECT_EQ(run_inference(object, in).y, Doubles(in.x.size()));
  const FusedResults given = run_backward(object, Statistics::given, in);
  EXPECT_EQ(given.dx, Doubles(in.x.size()));
  EXPECT_EQ(given.dgamma, Doubles(2));
  EXPECT_EQ(given.dbeta, Doubles(2));
}

TEST_P(SequencesTest, IntegersHaveLengthsToo) {
  for (const DataType source : {DataType::s8, DataType::u8, DataType::f32}) {
    for (const DataType destination : {DataType::s8, DataType::u8}) {
      Problem problem{Layout::ncx, 6, 19, 33};
      problem.source = source;
      problem.destination = destination;
      problem.activation = Activation::sigmoid();
      problem.lengths = true;
      const FusedInputs in = make_inputs(problem);
      const Bounded y = forward_of(problem, in, pre_activation(problem, in, given_statistics(in)));
      for_each_layout(problem, 0, [&](const BatchNorm& object, FusedPlacement placement) {
        EXPECT_TRUE(within_bounds(destination, run_inference(object, in, placement).y, y));
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, SequencesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
