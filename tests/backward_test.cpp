#include <cmath>
#include <gtest/gtest.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

constexpr EpsilonPlacement kPlacements[] = {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root};
constexpr Statistics kStatistics[] = {Statistics::batch, Statistics::given};

struct Case {
  BackwardInputs inputs;
  ExpectedGradients expected;
};

/// Batch statistics are the exact ones, which backward is given rounded: it makes up for what rounding the mean lost.
/// Given ones are some way off.
Case make_case(const Shape& shape, Statistics statistics, Data data, const Values& gamma, const Epsilon& epsilon) {
  Case result;
  BackwardInputs& in = result.inputs;
  in.statistics = statistics;
  in.x = generate(data, shape);
  in.dy = correlated_gradients(shape, in.x);
  in.gamma = gamma;
  const Doubles x = widened(in.x);
  ChannelStatistics exact = batch_statistics(shape, x);
  for (std::int64_t c = 0; c < shape.channels && statistics == Statistics::given; ++c) {
    exact.mean[c] += 0.25 * std::sqrt(exact.variance[c]);
    exact.variance[c] *= 1.25;
  }
  in.mean.assign(exact.mean.begin(), exact.mean.end());
  in.variance.assign(exact.variance.begin(), exact.variance.end());
  exact.variance = widened(in.variance);
  if (statistics == Statistics::given) exact.mean = widened(in.mean);
  result.expected = gradients(shape, statistics, x, widened(in.dy), gamma, exact, epsilon);
  return result;
}

void expect_within_bounds(const Gradients& actual, const ExpectedGradients& expected) {
  EXPECT_TRUE(within_ulp(4, actual.dbeta, expected.dbeta)) << "dbeta";
  EXPECT_TRUE(within_ulp(4, actual.dgamma, expected.dgamma)) << "dgamma";
  EXPECT_TRUE(within_ulp(8, actual.dx, expected.dx)) << "dx";
}

class BackwardTest : public EveryIsa {
 protected:
  static void check(const Shape& shape, Statistics statistics, Data data, const Values& gamma,
                    const Epsilon& epsilon = {}) {
    const Case c = make_case(shape, statistics, data, gamma, epsilon);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)) +
                   (statistics == Statistics::batch ? " batch" : " given"));
      const BatchNorm object(problem_of(layout, shape, epsilon));
      expect_within_bounds(differentiate(object, c.inputs), c.expected);
    }
  }

  static void check_each(const std::vector<Shape>& shapes, Statistics statistics, Data data) {
    for (const Shape& shape : shapes) check(shape, statistics, data, random_parameters(shape.channels).gamma);
  }

  /// Everything is a small multiple of a power of two, so every sum and every product is exact in any order.
  static void check_exactly(const std::vector<Shape>& shapes) {
    const Epsilon epsilon{0.0625};
    for (const Shape& shape : shapes) {
      BackwardInputs in;
      in.statistics = Statistics::given;
      in.x = generate(Data::exact, shape);
      in.dy = exact_gradients(shape);
      in.gamma = exact_gradients({1, shape.channels, 1}, 2);
      in.mean = exact_gradients({1, shape.channels, 1}, 3);
      in.variance.assign(shape.channels, 4 - 0.0625f);
      const ExpectedGradients expected = gradients(shape, in.statistics, widened(in.x), widened(in.dy), in.gamma,
                                                   {widened(in.mean), widened(in.variance)}, epsilon);
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape, epsilon));
        const Gradients actual = differentiate(object, in);
        EXPECT_TRUE(rounded_once(actual.dbeta, expected.dbeta.value)) << "dbeta";
        EXPECT_TRUE(rounded_once(actual.dgamma, expected.dgamma.value)) << "dgamma";
        EXPECT_TRUE(rounded_once(actual.dx, expected.dx.value)) << "dx";
      }
    }
  }
};

TEST_P(BackwardTest, ExactDataOfEdgeShapes) { check_exactly(edge_shapes()); }
TEST_P(BackwardTest, ExactDataOfBenchdnnShapes) { check_exactly(benchdnn_shapes()); }
TEST_P(BackwardTest, ExactDataOfTopologies) { check_exactly(topology_shapes()); }

TEST_P(BackwardTest, BatchStatisticsOfEdgeShapes) { check_each(edge_shapes(), Statistics::batch, Data::normal); }
TEST_P(BackwardTest, BatchStatisticsOfBenchdnnShapes) {
  check_each(benchdnn_shapes(), Statistics::batch, Data::normal);
}
TEST_P(BackwardTest, GivenStatisticsOfEdgeShapes) { check_each(edge_shapes(), Statistics::given, Data::normal); }

TEST_P(BackwardTest, EveryKindOfData) {
  for (const Data data : every_data()) {
    // The variance of huge data is no float, that of tiny data none but zero.
    if (data == Data::huge || data == Data::tiny) continue;
    for (const Statistics statistics : kStatistics) check_each(few_shapes(), statistics, data);
  }
}

TEST_P(BackwardTest, GammaIsOptional) {
  for (const Shape& shape : few_shapes()) {
    for (const Statistics statistics : kStatistics) check(shape, statistics, Data::normal, {});
  }
}

TEST_P(BackwardTest, EveryEpsilonInEitherPlace) {
  for (const Shape& shape : few_shapes()) {
    for (const double epsilon : {0.0, 1e-5, 0.0625, 3.0}) {
      for (const EpsilonPlacement placement : kPlacements) {
        for (const Statistics statistics : kStatistics) {
          check(shape, statistics, Data::normal, random_parameters(shape.channels).gamma, {epsilon, placement});
        }
      }
    }
  }
}

TEST_P(BackwardTest, FromWhatForwardSaved) {
  for (const Shape& shape : few_shapes()) {
    for (const Data data : {Data::normal, Data::kappa_1000}) {
      Case c = make_case(shape, Statistics::batch, data, random_parameters(shape.channels).gamma, {});
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape));
        const Trained trained = train(object, c.inputs.x, {});
        c.inputs.mean = trained.mean;
        c.inputs.variance = trained.variance;
        const ChannelStatistics batch = batch_statistics(shape, widened(c.inputs.x));
        c.expected = gradients(shape, Statistics::batch, widened(c.inputs.x), widened(c.inputs.dy), c.inputs.gamma,
                               {batch.mean, widened(trained.variance)}, {});
        expect_within_bounds(differentiate(object, c.inputs), c.expected);
      }
    }
  }
}

TEST_P(BackwardTest, AnySubsetOfTheResults) {
  for (const Shape& shape : few_shapes()) {
    for (const Statistics statistics : kStatistics) {
      const Case c = make_case(shape, statistics, Data::normal, random_parameters(shape.channels).gamma, {});
      for (const Layout layout : layouts_of(shape)) {
        const BatchNorm object(problem_of(layout, shape));
        for (int subset = 1; subset < 8; ++subset) {
          SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)) + " subset " + std::to_string(subset));
          const Wanted wanted{(subset & 1) != 0, (subset & 2) != 0, (subset & 4) != 0};
          const Gradients actual = differentiate(object, c.inputs, {}, wanted);
          if (wanted.dx) {
            EXPECT_TRUE(within_ulp(8, actual.dx, c.expected.dx)) << "dx";
          }
          if (wanted.dgamma) {
            EXPECT_TRUE(within_ulp(4, actual.dgamma, c.expected.dgamma)) << "dgamma";
          }
          if (wanted.dbeta) {
            EXPECT_TRUE(within_ulp(4, actual.dbeta, c.expected.dbeta)) << "dbeta";
          }
        }
      }
    }
  }
}

TEST_P(BackwardTest, GivenStatisticsNeedXAndMeanOnlyForDgamma) {
  for (const Shape& shape : few_shapes()) {
    Case c = make_case(shape, Statistics::given, Data::normal, random_parameters(shape.channels).gamma, {});
    c.inputs.x.clear();
    c.inputs.mean.clear();
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape));
      const Gradients actual = differentiate(object, c.inputs, {}, {true, false, true});
      EXPECT_TRUE(within_ulp(8, actual.dx, c.expected.dx)) << "dx";
      EXPECT_TRUE(within_ulp(4, actual.dbeta, c.expected.dbeta)) << "dbeta";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, BackwardTest, testing::ValuesIn(compiled_isas()), isa_name);

class LargeBackwardTest : public BackwardTest {};

TEST_P(LargeBackwardTest, LargeShapes) { check_exactly(large_shapes()); }

INSTANTIATE_TEST_SUITE_P(Isa, LargeBackwardTest, testing::Values(supported_isas().back()), isa_name);

}  // namespace
}  // namespace xbn::test
