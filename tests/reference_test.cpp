#include "reference.hpp"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>

#include "data.hpp"

namespace xbn::test {
namespace {

/// A loss whose gradient by y is dy: the sum of dy * y.
double loss(const Shape& shape, Statistics statistics, const Doubles& x, const Doubles& dy,
            const Parameters& parameters, const ChannelStatistics& given, const Epsilon& epsilon) {
  const ChannelStatistics used = statistics == Statistics::batch ? batch_statistics(shape, x) : given;
  const Expected y = normalised(shape, x, used, parameters, epsilon);
  double sum = 0;
  for (std::size_t i = 0; i < dy.size(); ++i) sum += dy[i] * y.value[i];
  return sum;
}

double central_difference(double at, double step, const std::function<double(double)>& f) {
  return (f(at + step) - f(at - step)) / (2 * step);
}

TEST(ReferenceTest, GradientsAgreeWithFiniteDifferences) {
  const Shape shape{3, 2, 4};
  const Values x = generate(Data::normal, shape);
  const Doubles dy = widened(correlated_gradients(shape, x));
  const Parameters parameters = random_parameters(shape.channels);
  for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
    for (const auto placement : {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root}) {
      const Epsilon epsilon{0.125, placement};
      const ChannelStatistics used =
          statistics == Statistics::batch ? batch_statistics(shape, widened(x)) : ChannelStatistics{{0.5, -1}, {2, 3}};
      const ExpectedGradients exact = gradients(shape, statistics, widened(x), dy, parameters.gamma, used, epsilon);
      for (std::int64_t i = 0; i < shape.elements(); ++i) {
        const double difference = central_difference(x[i], 1e-5, [&](double value) {
          Doubles moved = widened(x);
          moved[i] = value;
          return loss(shape, statistics, moved, dy, parameters, used, epsilon);
        });
        EXPECT_NEAR(difference, exact.dx.value[i], 1e-7) << "dx of element " << i;
      }
      for (std::int64_t c = 0; c < shape.channels; ++c) {
        // Linear in gamma and beta, so a step that float can express is exact.
        const auto along = [&](Values Parameters::*array) {
          const float at = (parameters.*array)[c];
          const auto moved_loss = [&](float value) {
            Parameters moved = parameters;
            (moved.*array)[c] = value;
            return loss(shape, statistics, widened(x), dy, moved, used, epsilon);
          };
          const float after = at + 0.5f, before = at - 0.5f;
          return (moved_loss(after) - moved_loss(before)) / (double{after} - double{before});
        };
        EXPECT_NEAR(along(&Parameters::gamma), exact.dgamma.value[c], 1e-11) << "dgamma";
        EXPECT_NEAR(along(&Parameters::beta), exact.dbeta.value[c], 1e-11) << "dbeta";
      }
    }
  }
}

TEST(ReferenceTest, StatisticsOfExactDataAreExact) {
  const Shape shape{3, 5, 8};
  const Values x = generate(Data::exact, shape);
  const ChannelStatistics batch = batch_statistics(shape, widened(x));
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    EXPECT_EQ(batch.mean[c], std::round(batch.mean[c]));
    // Squares of halves, over 24 of them.
    EXPECT_NEAR(batch.variance[c] * 24 * 4, std::round(batch.variance[c] * 24 * 4), 1e-12);
    EXPECT_GT(batch.variance[c], 0);
  }
}

TEST(ReferenceTest, DataHasTheKappaOfItsName) {
  const Shape shape{4, 3, 2500};
  for (const auto& [data, kappa] :
       {std::pair{Data::kappa_100, 100}, {Data::kappa_1000, 1000}, {Data::kappa_10000, 10000}}) {
    const ChannelStatistics batch = batch_statistics(shape, widened(generate(data, shape)));
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      EXPECT_NEAR(std::fabs(batch.mean[c]) / std::sqrt(batch.variance[c]), kappa, 0.05 * kappa) << name(data);
    }
  }
}

}  // namespace
}  // namespace xbn::test
