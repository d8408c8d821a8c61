#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"
#include "xbn/folding.hpp"

namespace xbn::test {
namespace {

/// Statistics of the batch as a caller has them: rounded.
struct Rounded {
  Values mean;
  Values variance;

  ChannelStatistics widened() const { return {test::widened(mean), test::widened(variance)}; }
};

Rounded rounded_statistics(const Shape& shape, const Values& x) {
  const ChannelStatistics batch = batch_statistics(shape, widened(x));
  return {{batch.mean.begin(), batch.mean.end()}, {batch.variance.begin(), batch.variance.end()}};
}

class ForwardInferenceTest : public EveryIsa {
 protected:
  static void check(const Shape& shape, Data data, const Parameters& parameters, const Epsilon& epsilon = {}) {
    const Values x = generate(data, shape);
    const Rounded given = rounded_statistics(shape, x);
    const Expected y = normalised(shape, widened(x), given.widened(), parameters, epsilon);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape, epsilon));
      EXPECT_TRUE(within_ulp(4, infer(object, x, parameters, given.mean, given.variance), y));
    }
  }

  static void check_each(const std::vector<Shape>& shapes, Data data) {
    for (const Shape& shape : shapes) check(shape, data, random_parameters(shape.channels));
  }
};

TEST_P(ForwardInferenceTest, EdgeShapes) { check_each(edge_shapes(), Data::normal); }
TEST_P(ForwardInferenceTest, BenchdnnShapes) { check_each(benchdnn_shapes(), Data::normal); }
TEST_P(ForwardInferenceTest, Topologies) { check_each(topology_shapes(), Data::normal); }

TEST_P(ForwardInferenceTest, EveryKindOfData) {
  for (const Data data : every_data()) {
    // The variance of huge data is no float, that of tiny data none but zero.
    if (data != Data::huge && data != Data::tiny) check_each(few_shapes(), data);
  }
}

TEST_P(ForwardInferenceTest, GammaAndBetaAreOptional) {
  for (const Shape& shape : few_shapes()) {
    const Parameters both = random_parameters(shape.channels);
    check(shape, Data::normal, {both.gamma, {}});
    check(shape, Data::normal, {{}, both.beta});
    check(shape, Data::normal, {});
  }
}

TEST_P(ForwardInferenceTest, EveryEpsilonInEitherPlace) {
  for (const Shape& shape : few_shapes()) {
    for (const double epsilon : {0.0, 1e-5, 0.0625}) {
      for (const auto placement : {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root}) {
        check(shape, Data::normal, random_parameters(shape.channels), {epsilon, placement});
      }
    }
  }
}

TEST_P(ForwardInferenceTest, NegativeVarianceMakesItsChannelNaN) {
  for (const Shape& shape : few_shapes()) {
    const Values x = generate(Data::normal, shape);
    const Parameters parameters = random_parameters(shape.channels);
    Rounded given = rounded_statistics(shape, x);
    // Even where epsilon would lift it above zero.
    given.variance[1] = -1e-3f;
    const Epsilon epsilon{0.0625};
    const Expected y = normalised(shape, widened(x), given.widened(), parameters, epsilon);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape, epsilon));
      const Values actual = infer(object, x, parameters, given.mean, given.variance);
      EXPECT_TRUE(std::isnan(actual[shape.spatial]));
      EXPECT_TRUE(within_ulp(4, actual, y));
    }
  }
}

TEST_P(ForwardInferenceTest, VarianceZeroWithEpsilonZeroIsBeta) {
  for (const Shape& shape : few_shapes()) {
    const Values x = generate(Data::normal, shape);
    const Parameters parameters = random_parameters(shape.channels);
    Rounded given = rounded_statistics(shape, x);
    given.variance[1] = 0;
    for (const auto placement : {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root}) {
      const Expected y = normalised(shape, widened(x), given.widened(), parameters, {0, placement});
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape, {0, placement}));
        const Values actual = infer(object, x, parameters, given.mean, given.variance);
        EXPECT_EQ(actual[shape.spatial], parameters.beta[1]);
        EXPECT_TRUE(within_ulp(4, actual, y));
      }
    }
  }
}

/// y = x * scale + shift or (x - mean) * scale + shift of these numbers, and the scale of its bound: the largest term.
Expected folded(const Shape& shape, const Values& x, const Values& mean, const Values& scale, const Values& shift) {
  Expected y{Doubles(shape.elements()), Doubles(shape.elements())};
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    const std::int64_t c = i / shape.spatial % shape.channels;
    const double product = (double{x[i]} - (mean.empty() ? 0.0 : double{mean[c]})) * double{scale[c]};
    y.value[i] = product + shift[c];
    y.scale[i] = std::max({std::fabs(y.value[i]), std::fabs(product), std::fabs(double{shift[c]})});
  }
  return y;
}

FoldedSource source_of(const Rounded& given, const Parameters& parameters, const Epsilon& epsilon = {}) {
  return {static_cast<std::int64_t>(given.mean.size()),
          data_or_null(parameters.gamma),
          data_or_null(parameters.beta),
          given.mean.data(),
          given.variance.data(),
          epsilon.value,
          epsilon.placement};
}

TEST_P(ForwardInferenceTest, FoldedIsItsFormula) {
  for (const std::vector<Shape>& shapes : {edge_shapes(), few_shapes()}) {
    for (const Shape& shape : shapes) {
      const Values x = generate(Data::normal, shape);
      const Values mean = per_channel(shape.channels, -2, 2, 5);
      const Values scale = per_channel(shape.channels, -3, 3, 6);
      const Values shift = per_channel(shape.channels, -1, 1, 7);
      const Expected two = folded(shape, x, {}, scale, shift);
      const Expected three = folded(shape, x, mean, scale, shift);
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape));
        EXPECT_TRUE(within_ulp(2, apply_folded(object, x, {}, scale, shift), two)) << "two numbers";
        EXPECT_TRUE(within_ulp(2, apply_folded(object, x, mean, scale, shift), three)) << "three numbers";
      }
    }
  }
}

TEST_P(ForwardInferenceTest, FoldedToTwoNumbersKeepsItsBound) {
  for (const Shape& shape : few_shapes()) {
    const Parameters parameters = random_parameters(shape.channels);
    for (const Data data : {Data::normal, Data::clipped, Data::kappa_100, Data::kappa_1000}) {
      const Values x = generate(data, shape);
      const Rounded given = rounded_statistics(shape, x);
      Values scale(shape.channels), shift(shape.channels);
      fold_scale_shift(source_of(given, parameters), scale.data(), shift.data());
      Expected y = normalised(shape, widened(x), given.widened(), parameters, {});
      const Expected terms = folded(shape, x, {}, scale, shift);
      y.scale = terms.scale;
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape));
        EXPECT_TRUE(within_ulp(2, apply_folded(object, x, {}, scale, shift), y));
      }
    }
  }
}

TEST_P(ForwardInferenceTest, FoldedToThreeNumbersIsAsAccurateAsInference) {
  for (const Shape& shape : few_shapes()) {
    const Parameters parameters = random_parameters(shape.channels);
    for (const Data data : {Data::normal, Data::clipped, Data::kappa_1000, Data::kappa_10000}) {
      const Values x = generate(data, shape);
      const Rounded given = rounded_statistics(shape, x);
      Values mean(shape.channels), scale(shape.channels), shift(shape.channels);
      fold_mean_scale_shift(source_of(given, parameters), mean.data(), scale.data(), shift.data());
      const Expected y = normalised(shape, widened(x), given.widened(), parameters, {});
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape));
        EXPECT_TRUE(within_ulp(4, apply_folded(object, x, mean, scale, shift), y));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, ForwardInferenceTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
