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

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Moments with arrays of their own, which hold NaN until they are written.
struct OwnedMoments {
  explicit OwnedMoments(std::int64_t channels)
      : mean(channels, kNaN), m2(channels, kNaN), view{0, mean.data(), m2.data()} {}
  OwnedMoments(const OwnedMoments&) = delete;
  OwnedMoments& operator=(const OwnedMoments&) = delete;

  Doubles mean;
  Doubles m2;
  Moments view;
};

struct OwnedSums {
  explicit OwnedSums(std::int64_t channels)
      : dy(channels, kNaN), dy_x(channels, kNaN), x(channels, kNaN), view{0, dy.data(), dy_x.data(), x.data()} {}
  OwnedSums(const OwnedSums&) = delete;
  OwnedSums& operator=(const OwnedSums&) = delete;

  Doubles dy;
  Doubles dy_x;
  Doubles x;
  GradientSums view;
};

/// Images [first, first + batch) of the values.
Values images(const Shape& shape, const Values& values, std::int64_t first, std::int64_t batch) {
  const std::int64_t image = shape.channels * shape.spatial;
  return {values.begin() + first * image, values.begin() + (first + batch) * image};
}

/// Batches of which the whole is made, an empty one among them.
std::vector<std::int64_t> parts_of(std::int64_t batch) {
  return {0, batch / 3, 0, batch / 2 - batch / 3, batch - batch / 2};
}

class PhasesTest : public EveryIsa {
 protected:
  template <typename Check>
  static void for_each_case(Check check) {
    for (const Shape& shape : few_shapes()) {
      for (const Data data : {Data::normal, Data::exact, Data::kappa_1000}) {
        const Values x = generate(data, shape);
        for (const Layout layout : layouts_of(shape)) {
          SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
          check(layout, shape, x);
        }
      }
    }
  }

  static void merge_moments_of_parts(Layout layout, const Shape& shape, const Values& x, OwnedMoments& total) {
    const BatchNorm whole(problem_of(layout, shape));
    std::int64_t first = 0;
    for (const std::int64_t batch : parts_of(shape.batch)) {
      const Shape part{batch, shape.channels, shape.spatial};
      const BatchNorm object(problem_of(layout, part));
      const TensorBuffer tensor(layout, part, Pitch::padded, images(shape, x, first, batch));
      OwnedMoments moments(shape.channels);
      object.moments({tensor.input(), &moments.view, {}});
      EXPECT_EQ(moments.view.count, part.count());
      whole.merge(total.view, moments.view);
      first += batch;
    }
    EXPECT_EQ(total.view.count, shape.count());
  }

  static void merge_sums_of_parts(Layout layout, const Shape& shape, const BackwardInputs& inputs, OwnedSums& total) {
    const BatchNorm whole(problem_of(layout, shape));
    std::int64_t first = 0;
    for (const std::int64_t batch : parts_of(shape.batch)) {
      const Shape part{batch, shape.channels, shape.spatial};
      const BatchNorm object(problem_of(layout, part));
      const TensorBuffer x(layout, part, Pitch::slice, images(shape, inputs.x, first, batch));
      const TensorBuffer dy(layout, part, Pitch::padded, images(shape, inputs.dy, first, batch));
      OwnedSums sums(shape.channels);
      object.gradient_sums({x.input(), dy.input(), inputs.mean.data(), &sums.view, {}});
      EXPECT_EQ(sums.view.count, part.count());
      whole.merge(total.view, sums.view);
      first += batch;
    }
    EXPECT_EQ(total.view.count, shape.count());
  }
};

TEST_P(PhasesTest, ForwardOfSubBatchesKeepsTheBounds) {
  for_each_case([](Layout layout, const Shape& shape, const Values& x) {
    const Parameters parameters = random_parameters(shape.channels);
    const ChannelStatistics batch = batch_statistics(shape, widened(x));
    OwnedMoments total(shape.channels);
    merge_moments_of_parts(layout, shape, x, total);

    const BatchNorm object(problem_of(layout, shape));
    Values mean(shape.channels), variance(shape.channels), scale(shape.channels), shift(shape.channels);
    object.finalise({&total.view,
                     parameters.gamma.data(),
                     parameters.beta.data(),
                     mean.data(),
                     variance.data(),
                     scale.data(),
                     shift.data(),
                     {}});
    EXPECT_TRUE(within_ulp(2, mean, expected_mean(batch))) << "mean";
    EXPECT_TRUE(within_ulp(4, variance, expected_variance(batch))) << "variance";
    EXPECT_TRUE(within_ulp(4, apply_folded(object, x, mean, scale, shift),
                           normalised_by_batch(shape, widened(x), batch, parameters, {})))
        << "y";
  });
}

TEST_P(PhasesTest, ForwardOfTheWholeBatchHasTheBitsOfTraining) {
  for_each_case([](Layout layout, const Shape& shape, const Values& x) {
    const Parameters parameters = random_parameters(shape.channels);
    const BatchNorm object(problem_of(layout, shape));
    const Values old_mean = per_channel(shape.channels, -2, 2, 8), old_variance = per_channel(shape.channels, 1, 3, 9);
    Values running_mean = old_mean, running_variance = old_variance;
    const Trained trained = train(object, x, parameters, {}, {running_mean.data(), running_variance.data(), {}});

    const TensorBuffer tensor(layout, shape, Pitch::dense, x);
    OwnedMoments moments(shape.channels);
    object.moments({tensor.input(), &moments.view, {}});
    Values mean(shape.channels), variance(shape.channels), scale(shape.channels), shift(shape.channels);
    Values phase_running_mean = old_mean, phase_running_variance = old_variance;
    object.finalise({&moments.view,
                     parameters.gamma.data(),
                     parameters.beta.data(),
                     mean.data(),
                     variance.data(),
                     scale.data(),
                     shift.data(),
                     {phase_running_mean.data(), phase_running_variance.data(), {}}});
    EXPECT_TRUE(same_bits(mean, trained.mean)) << "mean";
    EXPECT_TRUE(same_bits(variance, trained.variance)) << "variance";
    EXPECT_TRUE(same_bits(apply_folded(object, x, mean, scale, shift), trained.y)) << "y";
    EXPECT_TRUE(same_bits(phase_running_mean, running_mean)) << "running mean";
    EXPECT_TRUE(same_bits(phase_running_variance, running_variance)) << "running variance";
  });
}

TEST_P(PhasesTest, BackwardOfSubBatchesKeepsTheBounds) {
  for_each_case([](Layout layout, const Shape& shape, const Values& x) {
    BackwardInputs inputs;
    inputs.x = x;
    inputs.dy = correlated_gradients(shape, x);
    inputs.gamma = random_parameters(shape.channels).gamma;
    const ChannelStatistics batch = batch_statistics(shape, widened(x));
    inputs.mean.assign(batch.mean.begin(), batch.mean.end());
    inputs.variance.assign(batch.variance.begin(), batch.variance.end());
    OwnedSums total(shape.channels);
    merge_sums_of_parts(layout, shape, inputs, total);

    const BatchNorm object(problem_of(layout, shape));
    const TensorBuffer x_tensor(layout, shape, Pitch::dense, x), dy_tensor(layout, shape, Pitch::dense, inputs.dy);
    for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
      const bool given = statistics == Statistics::given;
      SCOPED_TRACE(given ? "given" : "batch");
      const ExpectedGradients expected =
          gradients(shape, statistics, widened(x), widened(inputs.dy), inputs.gamma,
                    {given ? widened(inputs.mean) : batch.mean, widened(inputs.variance)}, {});
      Values dgamma(shape.channels), dbeta(shape.channels);
      Values a(shape.channels), b(shape.channels), c(shape.channels);
      object.finalise({statistics, &total.view, inputs.gamma.data(), inputs.variance.data(), dgamma.data(),
                       dbeta.data(), a.data(), b.data(), c.data()});
      EXPECT_TRUE(within_ulp(4, dgamma, expected.dgamma)) << "dgamma";
      EXPECT_TRUE(within_ulp(4, dbeta, expected.dbeta)) << "dbeta";

      TensorBuffer dx(layout, shape, Pitch::slice);
      object.gradient_apply(
          {x_tensor.input(), dy_tensor.input(), dx.output(false), inputs.mean.data(), a.data(), b.data(), c.data()});
      EXPECT_TRUE(within_ulp(8, dx.values(), expected.dx)) << "dx";
      EXPECT_TRUE(dx.surroundings_are_intact(false));
      if (!given) continue;
      TensorBuffer dx_of_dy(layout, shape, Pitch::dense);
      object.gradient_apply({{}, dy_tensor.input(), dx_of_dy.output(), nullptr, a.data(), nullptr, nullptr});
      EXPECT_TRUE(within_ulp(8, dx_of_dy.values(), expected.dx)) << "dx = a * dy";
      EXPECT_TRUE(dx_of_dy.surroundings_are_intact(true));
    }
  });
}

TEST_P(PhasesTest, BackwardOfTheWholeBatchHasTheBitsOfBackward) {
  for_each_case([](Layout layout, const Shape& shape, const Values& x) {
    BackwardInputs inputs;
    inputs.x = x;
    inputs.dy = correlated_gradients(shape, x);
    inputs.gamma = random_parameters(shape.channels).gamma;
    const BatchNorm object(problem_of(layout, shape));
    const Trained trained = train(object, x, {});
    inputs.mean = trained.mean;
    inputs.variance = trained.variance;
    const Gradients whole = differentiate(object, inputs);

    const TensorBuffer x_tensor(layout, shape, Pitch::dense, x), dy_tensor(layout, shape, Pitch::dense, inputs.dy);
    OwnedSums sums(shape.channels);
    object.gradient_sums({x_tensor.input(), dy_tensor.input(), inputs.mean.data(), &sums.view, {}});
    Values dgamma(shape.channels), dbeta(shape.channels);
    Values a(shape.channels), b(shape.channels), c(shape.channels);
    object.finalise({Statistics::batch, &sums.view, inputs.gamma.data(), inputs.variance.data(), dgamma.data(),
                     dbeta.data(), a.data(), b.data(), c.data()});
    TensorBuffer dx(layout, shape, Pitch::dense);
    object.gradient_apply(
        {x_tensor.input(), dy_tensor.input(), dx.output(), inputs.mean.data(), a.data(), b.data(), c.data()});
    EXPECT_TRUE(same_bits(dgamma, whole.dgamma)) << "dgamma";
    EXPECT_TRUE(same_bits(dbeta, whole.dbeta)) << "dbeta";
    EXPECT_TRUE(same_bits(dx.values(), whole.dx)) << "dx";
  });
}

TEST_P(PhasesTest, MergingNothingChangesNothing) {
  const std::int64_t channels = 19;
  const BatchNorm object(problem_of(Layout::nxc, {2, channels, 3}));
  OwnedMoments moments(channels), no_moments(channels);
  object.merge(moments.view, no_moments.view);
  EXPECT_EQ(moments.view.count, 0);
  moments.mean.assign(channels, 3);
  moments.m2.assign(channels, 5);
  moments.view.count = 7;
  object.merge(moments.view, no_moments.view);
  EXPECT_EQ(moments.view.count, 7);
  EXPECT_EQ(moments.mean, Doubles(channels, 3));
  EXPECT_EQ(moments.m2, Doubles(channels, 5));
  object.merge(no_moments.view, moments.view);
  EXPECT_EQ(no_moments.view.count, 7);
  EXPECT_EQ(no_moments.mean, moments.mean);
  EXPECT_EQ(no_moments.m2, moments.m2);

  OwnedSums sums(channels), no_sums(channels);
  object.merge(sums.view, no_sums.view);
  EXPECT_EQ(sums.view.count, 0);
  sums.dy.assign(channels, 3);
  sums.dy_x.assign(channels, 5);
  sums.x.assign(channels, 6);
  sums.view.count = 7;
  object.merge(sums.view, no_sums.view);
  object.merge(no_sums.view, sums.view);
  for (const OwnedSums* merged : {&sums, &no_sums}) {
    EXPECT_EQ(merged->view.count, 7);
    EXPECT_EQ(merged->dy, Doubles(channels, 3));
    EXPECT_EQ(merged->dy_x, Doubles(channels, 5));
    EXPECT_EQ(merged->x, Doubles(channels, 6));
  }
}

TEST_P(PhasesTest, FinaliseOfNothing) {
  const std::int64_t channels = 19;
  const BatchNorm object(problem_of(Layout::nxc, {2, channels, 3}));
  const OwnedMoments no_moments(channels);
  Values mean(channels, 1), variance(channels, 1);
  FinaliseArgs forward;
  forward.moments = &no_moments.view;
  forward.mean = mean.data();
  forward.variance = variance.data();
  EXPECT_THROW(object.finalise(forward), std::invalid_argument);
  EXPECT_EQ(mean, Values(channels, 1));

  const OwnedSums no_sums(channels);
  Values outputs[] = {Values(channels, 1), Values(channels, 1), Values(channels, 1), Values(channels, 1),
                      Values(channels, 1)};
  object.finalise({Statistics::batch, &no_sums.view, nullptr, variance.data(), outputs[0].data(), outputs[1].data(),
                   outputs[2].data(), outputs[3].data(), outputs[4].data()});
  for (const Values& output : outputs) EXPECT_EQ(output, Values(channels, 0));
}

INSTANTIATE_TEST_SUITE_P(Isa, PhasesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
