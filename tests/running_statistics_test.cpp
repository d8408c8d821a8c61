#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

constexpr VarianceEstimate kEstimates[] = {VarianceEstimate::population, VarianceEstimate::unbiased};

struct ExpectedRunning {
  Expected mean;
  Expected variance;
};

/// (1 - weight) * old + weight * batch, and the largest of the terms and, for the mean, sigma.
ExpectedRunning updated(const Values& old_mean, const Values& old_variance, const ChannelStatistics& batch,
                        double weight, double variance_factor) {
  const std::size_t channels = old_mean.size();
  ExpectedRunning running{{Doubles(channels), Doubles(channels)}, {Doubles(channels), Doubles(channels)}};
  for (std::size_t c = 0; c < channels; ++c) {
    const double variance = batch.variance[c] * variance_factor;
    running.mean.value[c] = (1 - weight) * old_mean[c] + weight * batch.mean[c];
    running.mean.scale[c] =
        std::max({std::fabs(double{old_mean[c]}), std::fabs(batch.mean[c]), std::sqrt(batch.variance[c])});
    running.variance.value[c] = (1 - weight) * old_variance[c] + weight * variance;
    running.variance.scale[c] = std::max(double{old_variance[c]}, variance);
  }
  return running;
}

class RunningStatisticsTest : public EveryIsa {
 protected:
  static void check(const Shape& shape, const RunningUpdate& update, double weight) {
    const Values x = generate(Data::normal, shape);
    const ChannelStatistics batch = batch_statistics(shape, widened(x));
    const auto count = static_cast<double>(shape.count());
    const bool unbiased = update.estimate == VarianceEstimate::unbiased;
    const Values old_mean = per_channel(shape.channels, -2, 2, 8), old_variance = per_channel(shape.channels, 0, 3, 9);
    const ExpectedRunning expected =
        updated(old_mean, old_variance, batch, weight, unbiased ? count / (count - 1) : 1.0);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)) + (unbiased ? " unbiased" : " population"));
      Values mean = old_mean, variance = old_variance;
      const BatchNorm object(problem_of(layout, shape));
      train(object, x, {}, {}, {mean.data(), variance.data(), update});
      EXPECT_TRUE(within_ulp(4, mean, expected.mean)) << "running mean";
      EXPECT_TRUE(within_ulp(4, variance, expected.variance)) << "running variance";
    }
  }
};

TEST_P(RunningStatisticsTest, PyTorch) {
  for (const Shape& shape : few_shapes()) {
    for (const double momentum : {0.1, 0.75}) {
      for (const auto estimate : kEstimates) check(shape, RunningUpdate::pytorch(momentum, estimate), momentum);
    }
  }
}

TEST_P(RunningStatisticsTest, Onnx) {
  for (const Shape& shape : few_shapes()) {
    for (const double momentum : {0.9, 0.25}) {
      for (const auto estimate : kEstimates) check(shape, RunningUpdate::onnx(momentum, estimate), 1 - momentum);
    }
  }
}

TEST_P(RunningStatisticsTest, DefaultsAreThoseOfTheFrameworks) {
  EXPECT_EQ(RunningUpdate::pytorch().estimate, VarianceEstimate::unbiased);
  EXPECT_EQ(RunningUpdate::onnx().estimate, VarianceEstimate::population);
  check({4, 5, 9}, RunningUpdate::pytorch(), 0.1);
  check({4, 5, 9}, RunningUpdate::onnx(), 1 - 0.9);
}

TEST_P(RunningStatisticsTest, CumulativeAverageIsThatOfAllBatches) {
  const Shape shape{4, 19, 25};
  for (const auto estimate : kEstimates) {
    const double factor = estimate == VarianceEstimate::unbiased ? 100.0 / 99 : 1;
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(name(layout));
      const BatchNorm object(problem_of(layout, shape));
      Values mean(shape.channels, 0.0f), variance(shape.channels, 0.0f);
      Expected mean_of_all{Doubles(shape.channels), Doubles(shape.channels, 4)}, variance_of_all = mean_of_all;
      constexpr int kBatches = 5;
      for (int batch = 0; batch < kBatches; ++batch) {
        const Values x = generate(Data::normal, shape, 100 + batch);
        const ChannelStatistics statistics = batch_statistics(shape, widened(x));
        for (std::int64_t c = 0; c < shape.channels; ++c) {
          mean_of_all.value[c] += statistics.mean[c] / kBatches;
          variance_of_all.value[c] += statistics.variance[c] * factor / kBatches;
        }
        train(object, x, {}, {}, {mean.data(), variance.data(), RunningUpdate::cumulative_average(batch, estimate)});
      }
      EXPECT_TRUE(within_ulp(4, mean, mean_of_all)) << "running mean";
      EXPECT_TRUE(within_ulp(4, variance, variance_of_all)) << "running variance";
    }
  }
}

TEST_P(RunningStatisticsTest, WeightZeroKeepsAndWeightOneReplaces) {
  const Shape shape{3, 17, 20};
  const Values x = generate(Data::normal, shape);
  for (const Layout layout : layouts_of(shape)) {
    SCOPED_TRACE(name(layout));
    const BatchNorm object(problem_of(layout, shape));
    const Values old_mean = per_channel(shape.channels, -2, 2, 8), old_variance = per_channel(shape.channels, 0, 3, 9);
    Values mean = old_mean, variance = old_variance;
    train(object, x, {}, {}, {mean.data(), variance.data(), RunningUpdate::pytorch(0)});
    EXPECT_TRUE(same_bits(mean, old_mean));
    EXPECT_TRUE(same_bits(variance, old_variance));
    const RunningUpdate replace = RunningUpdate::onnx(0);
    const Trained trained = train(object, x, {}, {}, {mean.data(), variance.data(), replace});
    EXPECT_TRUE(same_bits(mean, trained.mean));
    EXPECT_TRUE(same_bits(variance, trained.variance));
  }
}

TEST_P(RunningStatisticsTest, OneElementAChannelLeavesTheUnbiasedVariance) {
  const Shape shape{1, 21, 1};
  const Values x = generate(Data::normal, shape);
  for (const Layout layout : layouts_of(shape)) {
    SCOPED_TRACE(name(layout));
    const BatchNorm object(problem_of(layout, shape));
    const Values old_mean = per_channel(shape.channels, -2, 2, 8), old_variance = per_channel(shape.channels, 1, 3, 9);
    const ExpectedRunning expected =
        updated(old_mean, old_variance, {widened(x), Doubles(shape.channels, 0.0)}, 0.1, 1);
    for (const auto estimate : kEstimates) {
      Values mean = old_mean, variance = old_variance;
      train(object, x, {}, {}, {mean.data(), variance.data(), RunningUpdate::pytorch(0.1, estimate)});
      EXPECT_TRUE(within_ulp(4, mean, expected.mean)) << "running mean";
      if (estimate == VarianceEstimate::unbiased) {
        EXPECT_TRUE(same_bits(variance, old_variance)) << "running variance";
      } else {
        EXPECT_TRUE(within_ulp(4, variance, expected.variance)) << "running variance";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, RunningStatisticsTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
