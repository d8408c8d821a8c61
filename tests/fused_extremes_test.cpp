// Fused calls on data that are not normal, in the statistical sense or any other.

#include <cmath>
#include <gtest/gtest.h>
#include <optional>

#include "bounds.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "fused_cases.hpp"
#include "threads.hpp"

namespace xbn::test {
namespace {

DataType real_of(const Problem& problem) { return problem.source == DataType::f64 ? DataType::f64 : DataType::f32; }

/// Types whose range holds all data: f16's does not.
std::vector<Problem> problems() {
  using enum DataType;
  std::vector<Problem> all;
  for (const Shape& shape : {Shape{9, 20, 49}, {3, 7, 1030}, {40, 33, 1}, {2, 5, 8200}}) {
    all.push_back(fused_problem(shape, f32, f32, Activation::leaky_relu()));
    all.push_back(fused_problem(shape, f32, bf16, Activation{}));
    all.push_back(fused_problem(shape, bf16, bf16, Activation::leaky_relu()));
    all.push_back(fused_problem(shape, f64, f64, Activation{}));
  }
  return all;
}

FusedInputs inputs_of(const Problem& problem, Data data) {
  FusedInputs in = make_inputs(problem, 5);
  in.x = held_by(problem.source, generate(data, shape_of(problem), 5));
  return in;
}

class FusedExtremesTest : public EveryIsa {
 protected:
  template <class Check>
  static void for_each_layout(Problem problem, Check check) {
    for (const Layout layout : layouts_of(shape_of(problem))) {
      problem.layout = layout;
      SCOPED_TRACE(to_string(problem));
      check(BatchNorm(problem));
    }
  }
};

TEST_P(FusedExtremesTest, TrainingOnEveryKindOfData) {
  for (const Data data : every_data()) {
    SCOPED_TRACE(name(data));
    for (const Problem& problem : problems()) {
      const FusedInputs in = inputs_of(problem, data);
      const FusedStatistics batch = statistics_of(problem, in);
      Bounded variance = bounded_variance(problem, batch);
      if (!is_ordinary(data)) {
        for (long double& allowed : variance.allowed) allowed *= 2.5L;
      }
      const Bounded y = forward_of(problem, in, pre_activation(problem, in, batch));
      for_each_layout(problem, [&](const BatchNorm& object) {
        const FusedOutputs out = run_training(object, in);
        EXPECT_TRUE(within_bounds(real_of(problem), out.mean, bounded_mean(problem, batch))) << "mean";
        EXPECT_TRUE(within_bounds(real_of(problem), out.variance, variance)) << "variance";
        EXPECT_TRUE(within_bounds(problem.destination, out.y, y)) << "y";
      });
    }
  }
}

TEST_P(FusedExtremesTest, ConstantChannelsBecomeBeta) {
  for (Problem problem : problems()) {
    const FusedInputs in = inputs_of(problem, Data::constant);
    for (const EpsilonPlacement placement : {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root}) {
      for (const double epsilon : {0.0, 1e-5}) {
        problem.epsilon = epsilon;
        problem.epsilon_placement = placement;
        Doubles beta(in.x.size());
        for (std::size_t i = 0; i < beta.size(); ++i) {
          const long double z = in.beta[i / problem.spatial % problem.channels];
          beta[i] = static_cast<double>(rounded_to(problem.destination, activated(problem.activation, z)));
        }
        for_each_layout(problem, [&](const BatchNorm& object) {
          FusedInputs saved = in;
          const FusedOutputs out = run_training(object, in);
          EXPECT_EQ(out.variance, Doubles(problem.channels));
          // leaky_relu's product is of floats.
          if (problem.activation.kind == ActivationKind::none) {
            EXPECT_EQ(out.y, beta);
          }
          saved.mean = out.mean;
          saved.variance = out.variance;
          const FusedResults gradients = run_backward(object, Statistics::batch, saved);
          EXPECT_EQ(gradients.dgamma, Doubles(problem.channels));
          if (epsilon == 0) {
            EXPECT_EQ(gradients.dx, Doubles(in.x.size()));
          }
        });
      }
    }
  }
}

bool has_denormals(const Doubles& values) {
  for (const double value : values) {
    if (value != 0 && std::fabs(value) < 0x1p-126) return true;
  }
  return false;
}

TEST_P(FusedExtremesTest, FlushToZeroIsTheCallersOnEveryThread) {
  const ShufflingExecutor shuffling(3);
  for (const Shape& shape : {Shape{9, 20, 49}, {3, 7, 130}, {40, 33, 1}}) {
    Problem problem = fused_problem(shape, DataType::f32, DataType::f32, Activation::leaky_relu());
    // So that results are as small as x and dy.
    problem.epsilon = 1;
    FusedInputs in = make_inputs(problem, 7);
    for (double& value : in.x) value = static_cast<float>(value * 1e-38);
    for (double& value : in.dy) value = static_cast<float>(value * 1e-38);
    in.beta.clear();
    in.mean.assign(problem.channels, 0);
    in.variance.assign(problem.channels, 1);
    for (const Layout layout : layouts_of(shape)) {
      problem.layout = layout;
      SCOPED_TRACE(to_string(problem));
      for (const bool flush : {false, true}) {
        SCOPED_TRACE(flush ? "flushing" : "not flushing");
        const auto run = [&](const Executor* executor) {
          const BatchNorm object(problem, {executor, {2048, 4096}});
          std::optional<FlushToZero> mode;
          if (flush) mode.emplace();
          return std::pair{run_inference(object, in).y, run_backward(object, Statistics::batch, in).dx};
        };
        const auto serial = run(&serial_executor());
        EXPECT_EQ(has_denormals(serial.first), !flush);
        EXPECT_EQ(has_denormals(serial.second), !flush);
        const auto expect_as_serial = [&](const Executor* executor) {
          const auto [y, dx] = run(executor);
          EXPECT_TRUE(same_bits(y, serial.first)) << "y";
          EXPECT_TRUE(same_bits(dx, serial.second)) << "dx";
        };
        expect_as_serial(&shuffling);
        for (const int threads : {1, 2, 7}) run_in_arena(threads, [&] { expect_as_serial(nullptr); });
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, FusedExtremesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
