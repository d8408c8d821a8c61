#include <gtest/gtest.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

class ForwardTrainingTest : public EveryIsa {
 protected:
  /// In every layout: mean, variance and y of this data within the contract's bounds.
  static void check(const Shape& shape, Data data, const Parameters& parameters, const Epsilon& epsilon = {}) {
    const Values x = generate(data, shape);
    const Doubles exact_x = widened(x);
    const ChannelStatistics batch = batch_statistics(shape, exact_x);
    const Expected mean = expected_mean(batch);
    const Expected variance = expected_variance(batch);
    const Expected y = normalised_by_batch(shape, exact_x, batch, parameters, epsilon);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape, epsilon));
      const Trained trained = train(object, x, parameters);
      if (data == Data::exact) {
        EXPECT_TRUE(rounded_once(trained.mean, mean.value)) << "mean";
        EXPECT_TRUE(rounded_once(trained.variance, variance.value)) << "variance";
      } else {
        EXPECT_TRUE(within_ulp(2, trained.mean, mean)) << "mean";
        EXPECT_TRUE(within_ulp(is_ordinary(data) ? 4 : 10, trained.variance, variance)) << "variance";
      }
      EXPECT_TRUE(within_ulp(4, trained.y, y)) << "y";
    }
  }

  static void check_each(const std::vector<Shape>& shapes, Data data) {
    for (const Shape& shape : shapes) check(shape, data, random_parameters(shape.channels));
  }
};

TEST_P(ForwardTrainingTest, ObjectsUseTheForcedInstructionSet) {
  EXPECT_EQ(BatchNorm({Layout::ncx, 1, 1, 1}).isa(), GetParam());
}

TEST_P(ForwardTrainingTest, ExactDataOfEdgeShapes) { check_each(edge_shapes(), Data::exact); }
TEST_P(ForwardTrainingTest, ExactDataOfBenchdnnShapes) { check_each(benchdnn_shapes(), Data::exact); }
TEST_P(ForwardTrainingTest, ExactDataOfTopologies) { check_each(topology_shapes(), Data::exact); }
TEST_P(ForwardTrainingTest, NormalDataOfEdgeShapes) { check_each(edge_shapes(), Data::normal); }
TEST_P(ForwardTrainingTest, NormalDataOfBenchdnnShapes) { check_each(benchdnn_shapes(), Data::normal); }

TEST_P(ForwardTrainingTest, EveryKindOfData) {
  for (const Data data : every_data()) {
    check_each(few_shapes(), data);
    check_each({{2, 16, 12544}}, data);
  }
}

TEST_P(ForwardTrainingTest, GammaAndBetaAreOptional) {
  for (const Shape& shape : few_shapes()) {
    const Parameters both = random_parameters(shape.channels);
    check(shape, Data::normal, {both.gamma, {}});
    check(shape, Data::normal, {{}, both.beta});
    check(shape, Data::normal, {});
  }
}

TEST_P(ForwardTrainingTest, EveryEpsilonInEitherPlace) {
  for (const Shape& shape : few_shapes()) {
    for (const double epsilon : {0.0, 1e-12, 1e-5, 0.0625, 3.0}) {
      for (const auto placement : {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root}) {
        check(shape, Data::normal, random_parameters(shape.channels), {epsilon, placement});
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, ForwardTrainingTest, testing::ValuesIn(compiled_isas()), isa_name);

class LargeForwardTrainingTest : public ForwardTrainingTest {};

TEST_P(LargeForwardTrainingTest, LargeShapes) { check_each(large_shapes(), Data::exact); }

INSTANTIATE_TEST_SUITE_P(Isa, LargeForwardTrainingTest, testing::Values(supported_isas().back()), isa_name);

}  // namespace
}  // namespace xbn::test
