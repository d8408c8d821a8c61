// The formulas of backward, against differences of what forward computes in double.

#include <cmath>
#include <gtest/gtest.h>

#include "every_isa.hpp"
#include "fused_cases.hpp"

namespace xbn::test {
namespace {

/// The derivative of f at 0, from five points.
template <class Function>
double slope_at_zero(Function f) {
  constexpr double step = 0x1p-10;
  return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step);
}

/// sum of dy * y over the valid elements, y by forward_training or forward_inference.
double loss(const BatchNorm& object, Statistics statistics, const FusedInputs& in) {
  const Problem& problem = object.problem();
  const Doubles y = statistics == Statistics::batch ? run_training(object, in).y : run_inference(object, in).y;
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    if (is_valid(in, index / (problem.channels * problem.spatial), index % problem.spatial)) sum += in.dy[i] * y[i];
  }
  return sum;
}

void expect_slopes(const BatchNorm& forward, Statistics statistics, FusedInputs in, Doubles FusedInputs::*argument,
                   const Doubles& gradients, const char* what) {
  const bool a_channel = (in.*argument).size() != in.x.size();
  const Problem& problem = forward.problem();
  for (std::size_t i = 0; i < (in.*argument).size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    if (!a_channel && !is_valid(in, index / (problem.channels * problem.spatial), index % problem.spatial)) {
      EXPECT_EQ(gradients[i], 0) << what << " at " << i;
      continue;
    }
    const double value = (in.*argument)[i];
    const double slope = slope_at_zero([&](double step) {
      (in.*argument)[i] = value + step;
      return loss(forward, statistics, in);
    });
    (in.*argument)[i] = value;
    EXPECT_NEAR(gradients[i], slope, 1e-8 * (1 + std::fabs(slope))) << what << " at " << i;
  }
}

/// No gradient comes from elements so close to a kink of the activation that a step may reach it.
void avoid_steps_across_kinks(const Problem& problem, FusedInputs& in, const Reals& z) {
  const ActivationKind kind = problem.activation.kind;
  const long double bound = kind == ActivationKind::clipped_relu ? problem.activation.bound : 0;
  if (kind != ActivationKind::relu && kind != ActivationKind::leaky_relu && kind != ActivationKind::clipped_relu)
    return;
  for (std::size_t i = 0; i < in.dy.size(); ++i) {
    if (std::fabs(z[i]) < 0.03L || std::fabs(z[i] - bound) < 0.03L) in.dy[i] = 0;
  }
}

class FiniteDifferencesTest : public EveryIsa {
 protected:
  static void check(const Problem& problem, Statistics statistics, std::uint64_t seed) {
    SCOPED_TRACE(to_string(problem) + (statistics == Statistics::batch ? " batch" : " given"));
    FusedInputs in = make_inputs(problem, seed);
    const FusedStatistics of = statistics == Statistics::batch ? save_statistics(problem, in) : given_statistics(in);
    avoid_steps_across_kinks(problem, in, pre_activation(problem, in, of).value);

    Problem forward_problem = problem;
    forward_problem.backward_from_output = false;
    const BatchNorm forward(forward_problem), backward(problem);
    FusedInputs saved = in;
    if (problem.backward_from_output) {
      saved.y = statistics == Statistics::batch ? run_training(forward, in).y : run_inference(forward, in).y;
      saved.x.clear();
    }
    const FusedResults actual = run_backward(backward, statistics, saved);
    expect_slopes(forward, statistics, in, &FusedInputs::x, actual.dx, "dx");
    expect_slopes(forward, statistics, in, &FusedInputs::gamma, actual.dgamma, "dgamma");
    expect_slopes(forward, statistics, in, &FusedInputs::beta, actual.dbeta, "dbeta");
    expect_slopes(forward, statistics, in, &FusedInputs::residual, actual.d_residual, "d_residual");
  }

  /// Everything that a problem of f64 may consist of; the i-th has the i-th layout.
  template <class Visit>
  static void for_each_problem(Visit visit) {
    std::size_t i = 0;
    for (const Activation& activation : every_activation()) {
      for (unsigned fusions = 0; fusions < 8; ++fusions) {
        const std::int64_t spatial = i % 3 == 0 ? 1 : 3;
        Problem problem{Layout::ncx, 5, 3, spatial};
        const std::vector<Layout> layouts = layouts_of(shape_of(problem));
        problem.layout = layouts[i % layouts.size()];
        problem.source = problem.destination = DataType::f64;
        problem.activation = activation;
        problem.residual = (fusions & 1) != 0;
        problem.lengths = (fusions & 2) != 0;
        problem.weights = (fusions & 4) != 0;
        problem.epsilon = 0.01;
        if (i % 2 == 1) problem.epsilon_placement = EpsilonPlacement::outside_root;
        visit(problem, ++i);
      }
    }
  }
};

TEST_P(FiniteDifferencesTest, BatchStatistics) {
  for_each_problem([](const Problem& problem, std::size_t i) { check(problem, Statistics::batch, i); });
}

TEST_P(FiniteDifferencesTest, GivenStatistics) {
  for_each_problem([](const Problem& problem, std::size_t i) { check(problem, Statistics::given, i); });
}

TEST_P(FiniteDifferencesTest, FromTheOutput) {
  for_each_problem([](Problem problem, std::size_t i) {
    const ActivationKind kind = problem.activation.kind;
    const bool has_inverse = kind == ActivationKind::none || kind == ActivationKind::leaky_relu ||
                             kind == ActivationKind::sigmoid || kind == ActivationKind::tanh;
    if (problem.residual || !has_inverse) return;
    problem.backward_from_output = true;
    check(problem, Statistics::batch, i);
    check(problem, Statistics::given, i);
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, FiniteDifferencesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
