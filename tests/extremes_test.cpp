#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <stdexcept>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr EpsilonPlacement kPlacements[] = {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root};

Values channel(const Shape& shape, const Values& values, std::int64_t c) {
  Values result;
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    const auto plane = values.begin() + (n * shape.channels + c) * shape.spatial;
    result.insert(result.end(), plane, plane + shape.spatial);
  }
  return result;
}

/// Replaces one element of channel c: an early one, or one of the last image's last positions.
Values poisoned(const Shape& shape, Values values, std::int64_t c, float value) {
  const std::int64_t n = c % 2 == 0 ? 0 : shape.batch - 1;
  const std::int64_t s = c % 2 == 0 ? 0 : shape.spatial - 1;
  values[(n * shape.channels + c) * shape.spatial + s] = value;
  return values;
}

bool all_nan(const Values& values) {
  for (const float value : values) {
    if (!std::isnan(value)) return false;
  }
  return true;
}

class ExtremesTest : public EveryIsa {
 protected:
  template <typename Check>
  static void for_each_layout(const std::vector<Shape>& shapes, Check check) {
    for (const Shape& shape : shapes) {
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        check(layout, shape);
      }
    }
  }
};

TEST_P(ExtremesTest, NonFiniteInputsTouchTheirOwnChannelOnly) {
  for_each_layout(few_shapes(), [](Layout layout, const Shape& shape) {
    const BatchNorm object(problem_of(layout, shape));
    const Parameters parameters = random_parameters(shape.channels);
    const Values x = generate(Data::normal, shape);
    const Values dy = correlated_gradients(shape, x);
    const Trained clean = train(object, x, parameters);
    const BackwardInputs inputs{Statistics::batch, x, dy, parameters.gamma, clean.mean, clean.variance};
    const Gradients clean_gradients = differentiate(object, inputs);
    for (const float value : {kNaN, kInfinity, -kInfinity}) {
      for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{1}, shape.channels - 1}) {
        SCOPED_TRACE(std::to_string(value) + " in channel " + std::to_string(bad));
        const Trained trained = train(object, poisoned(shape, x, bad, value), parameters);
        BackwardInputs bad_x = inputs, bad_dy = inputs;
        bad_x.x = poisoned(shape, x, bad, value);
        bad_dy.dy = poisoned(shape, dy, bad, value);
        const Gradients of_bad_x = differentiate(object, bad_x), of_bad_dy = differentiate(object, bad_dy);
        for (std::int64_t c = 0; c < shape.channels; ++c) {
          if (c == bad) {
            EXPECT_FALSE(std::isfinite(trained.mean[c]));
            EXPECT_TRUE(std::isnan(trained.variance[c]));
            EXPECT_TRUE(all_nan(channel(shape, trained.y, c)));
            EXPECT_FALSE(std::isfinite(of_bad_x.dgamma[c]));
            EXPECT_EQ(of_bad_x.dbeta[c], clean_gradients.dbeta[c]);
            EXPECT_FALSE(std::isfinite(of_bad_dy.dbeta[c]));
            continue;
          }
          ASSERT_EQ(trained.mean[c], clean.mean[c]);
          ASSERT_EQ(trained.variance[c], clean.variance[c]);
          ASSERT_TRUE(same_bits(channel(shape, trained.y, c), channel(shape, clean.y, c)));
          for (const Gradients* gradients : {&of_bad_x, &of_bad_dy}) {
            ASSERT_EQ(gradients->dgamma[c], clean_gradients.dgamma[c]);
            ASSERT_EQ(gradients->dbeta[c], clean_gradients.dbeta[c]);
            ASSERT_TRUE(same_bits(channel(shape, gradients->dx, c), channel(shape, clean_gradients.dx, c)));
          }
        }
      }
    }
  });
}

TEST_P(ExtremesTest, ConstantChannelsHaveVarianceZeroAndBecomeBeta) {
  std::vector<Shape> shapes = few_shapes();
  shapes.push_back({4, 5, 3136});
  shapes.push_back({1, 1, 100003});
  for_each_layout(shapes, [](Layout layout, const Shape& shape) {
    const Parameters parameters = random_parameters(shape.channels);
    const Values x = generate(Data::constant, shape);
    for (const EpsilonPlacement placement : kPlacements) {
      for (const double epsilon : {0.0, 1e-5}) {
        const BatchNorm object(problem_of(layout, shape, {epsilon, placement}));
        const Trained trained = train(object, x, parameters);
        EXPECT_EQ(trained.variance, Values(shape.channels, 0));
        for (std::int64_t c = 0; c < shape.channels; ++c) {
          ASSERT_EQ(trained.mean[c], x[c * shape.spatial]);
          ASSERT_EQ(channel(shape, trained.y, c), Values(shape.count(), parameters.beta[c]));
        }
      }
    }
  });
}

TEST_P(ExtremesTest, BackwardAtVarianceZero) {
  for_each_layout(few_shapes(), [](Layout layout, const Shape& shape) {
    BackwardInputs inputs;
    inputs.x = generate(Data::constant, shape);
    inputs.dy = exact_gradients(shape);
    inputs.gamma = random_parameters(shape.channels).gamma;
    const ChannelStatistics batch = batch_statistics(shape, widened(inputs.x));
    inputs.mean.assign(batch.mean.begin(), batch.mean.end());
    inputs.variance.assign(shape.channels, 0);
    for (const EpsilonPlacement placement : kPlacements) {
      for (const double epsilon : {0.0, 0.5}) {
        const ExpectedGradients expected = gradients(shape, Statistics::batch, widened(inputs.x), widened(inputs.dy),
                                                     inputs.gamma, batch, {epsilon, placement});
        const BatchNorm object(problem_of(layout, shape, {epsilon, placement}));
        const Gradients actual = differentiate(object, inputs);
        EXPECT_TRUE(within_ulp(8, actual.dx, expected.dx)) << "dx";
        EXPECT_EQ(actual.dgamma, Values(shape.channels, 0));
        EXPECT_TRUE(rounded_once(actual.dbeta, expected.dbeta.value)) << "dbeta";
        if (epsilon == 0) {
          EXPECT_EQ(actual.dx, Values(shape.elements(), 0));
        }
      }
    }
  });
}

TEST_P(ExtremesTest, OneElementAChannelBecomesBeta) {
  for_each_layout({{1, 1, 1}, {1, 37, 1}, {1, 1030, 1}}, [](Layout layout, const Shape& shape) {
    const BatchNorm object(problem_of(layout, shape));
    const Parameters parameters = random_parameters(shape.channels);
    const Values x = generate(Data::normal, shape);
    const Trained trained = train(object, x, parameters);
    EXPECT_EQ(trained.y, parameters.beta);
    EXPECT_EQ(trained.mean, x);
    EXPECT_EQ(trained.variance, Values(shape.channels, 0));
    const Values dy = correlated_gradients(shape, x);
    const ExpectedGradients expected = gradients(shape, Statistics::batch, widened(x), widened(dy), parameters.gamma,
                                                 {widened(x), Doubles(shape.channels, 0)}, {});
    const Gradients actual =
        differentiate(object, {Statistics::batch, x, dy, parameters.gamma, trained.mean, trained.variance});
    EXPECT_TRUE(within_ulp(8, actual.dx, expected.dx)) << "dx";
    EXPECT_EQ(actual.dgamma, Values(shape.channels, 0));
    EXPECT_EQ(actual.dbeta, dy);
  });
}

TEST_P(ExtremesTest, SquaresThatOverflowOrVanishInFloat) {
  for_each_layout(few_shapes(), [](Layout layout, const Shape& shape) {
    const Parameters parameters = random_parameters(shape.channels);
    const Epsilon none{0};
    for (const Data data : {Data::huge, Data::tiny}) {
      SCOPED_TRACE(name(data));
      const Values x = generate(data, shape);
      const ChannelStatistics batch = batch_statistics(shape, widened(x));
      const Trained trained = train(BatchNorm(problem_of(layout, shape, none)), x, parameters);
      EXPECT_TRUE(within_ulp(2, trained.mean, expected_mean(batch))) << "mean";
      EXPECT_EQ(trained.variance, Values(shape.channels, data == Data::huge ? kInfinity : 0));
      EXPECT_TRUE(within_ulp(4, trained.y, normalised_by_batch(shape, widened(x), batch, parameters, none))) << "y";
    }
  });
}

TEST_P(ExtremesTest, VarianceOfMagnitudesBetween) {
  for_each_layout(few_shapes(), [](Layout layout, const Shape& shape) {
    const BatchNorm object(problem_of(layout, shape));
    const Values normal = generate(Data::normal, shape);
    for (const float magnitude : {1e-20f, 1e-15f, 1e-10f, 1e10f, 1e15f, 1e18f}) {
      SCOPED_TRACE(magnitude);
      Values x = normal;
      for (float& value : x) value *= magnitude;
      const ChannelStatistics batch = batch_statistics(shape, widened(x));
      const Trained trained = train(object, x, {});
      EXPECT_TRUE(within_ulp(2, trained.mean, expected_mean(batch))) << "mean";
      EXPECT_TRUE(within_ulp(4, trained.variance, expected_variance(batch))) << "variance";
    }
  });
}

TEST_P(ExtremesTest, GradientsOfAnyMagnitude) {
  for_each_layout(few_shapes(), [](Layout layout, const Shape& shape) {
    const BatchNorm object(problem_of(layout, shape));
    BackwardInputs inputs;
    inputs.gamma = random_parameters(shape.channels).gamma;
    const Values x = generate(Data::normal, shape);
    const Values dy = correlated_gradients(shape, x);
    struct Exponents {
      int x;
      int dy;
    };
    for (const auto& [of_x, of_dy] : {Exponents{0, -83}, {0, 99}, {40, -60}, {60, 0}, {60, -50}, {-30, 60}}) {
      SCOPED_TRACE(testing::Message() << "x * 2^" << of_x << ", dy * 2^" << of_dy);
      inputs.x = x;
      inputs.dy = dy;
      for (float& value : inputs.x) value = std::ldexp(value, of_x);
      for (float& value : inputs.dy) value = std::ldexp(value, of_dy);
      const ChannelStatistics batch = batch_statistics(shape, widened(inputs.x));
      inputs.mean.assign(batch.mean.begin(), batch.mean.end());
      inputs.variance.assign(batch.variance.begin(), batch.variance.end());
      const ExpectedGradients expected = gradients(shape, Statistics::batch, widened(inputs.x), widened(inputs.dy),
                                                   inputs.gamma, {batch.mean, widened(inputs.variance)}, {});
      const Gradients actual = differentiate(object, inputs);
      EXPECT_TRUE(within_ulp(8, actual.dx, expected.dx)) << "dx";
      EXPECT_TRUE(within_ulp(4, actual.dgamma, expected.dgamma)) << "dgamma";
      EXPECT_TRUE(within_ulp(4, actual.dbeta, expected.dbeta)) << "dbeta";
    }
  });
}

TEST_P(ExtremesTest, EmptyBatchTouchesNothingButDgammaAndDbeta) {
  for_each_layout({{0, 19, 7}, {3, 19, 0}, {0, 19, 1}}, [](Layout layout, const Shape& shape) {
    const BatchNorm object(problem_of(layout, shape));
    const Values numbers(shape.channels, 1);
    const Values canary{42};
    Values x = canary, y = canary, dx = canary;
    object.forward_inference({x.data(), y.data(), numbers.data(), numbers.data(), numbers.data(), numbers.data(), {}});
    object.forward_folded({x.data(), y.data(), numbers.data(), numbers.data(), numbers.data()});
    EXPECT_EQ(y, canary);

    for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
      Values dgamma(shape.channels, 1), dbeta(shape.channels, 1);
      object.backward({statistics,
                       x.data(),
                       y.data(),
                       numbers.data(),
                       numbers.data(),
                       numbers.data(),
                       dx.data(),
                       dgamma.data(),
                       dbeta.data(),
                       {}});
      EXPECT_EQ(dgamma, Values(shape.channels, 0));
      EXPECT_EQ(dbeta, Values(shape.channels, 0));
    }
    EXPECT_EQ(x, canary);
    EXPECT_EQ(y, canary);
    EXPECT_EQ(dx, canary);

    Values mean = numbers, variance = numbers;
    ForwardTraining training;
    training.x = Input(x.data());
    training.y = Output(y.data());
    training.mean = mean.data();
    training.variance = variance.data();
    EXPECT_THROW(object.forward_training(training), std::invalid_argument);
    EXPECT_EQ(mean, numbers);
    EXPECT_EQ(variance, numbers);
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, ExtremesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
