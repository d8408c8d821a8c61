#include <gtest/gtest.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

class StridesTest : public EveryIsa {
 protected:
  /// Each tensor with a pitch of its own, in every combination, padding owned or not.
  template <typename Check>
  static void for_each_placement(Check check) {
    for (const Pitch x : every_pitch()) {
      for (const Pitch dy : every_pitch()) {
        for (const Pitch result : every_pitch()) {
          for (const bool owns_padding : {true, false}) {
            SCOPED_TRACE(std::string("x ") + name(x) + ", dy " + name(dy) + ", result " + name(result) +
                         (owns_padding ? " with its padding" : ""));
            check(Placement{x, dy, result, owns_padding, Destination::separate});
          }
        }
      }
    }
  }
};

TEST_P(StridesTest, Forward) {
  for (const Shape& shape : few_shapes()) {
    const Values x = generate(Data::normal, shape);
    const Parameters parameters = random_parameters(shape.channels);
    const ChannelStatistics batch = batch_statistics(shape, widened(x));
    const Expected mean = expected_mean(batch), variance = expected_variance(batch);
    const Expected y = normalised_by_batch(shape, widened(x), batch, parameters, {});
    const Values saved_mean(batch.mean.begin(), batch.mean.end());
    const Values saved_variance(batch.variance.begin(), batch.variance.end());
    const Expected inferred =
        normalised(shape, widened(x), {widened(saved_mean), widened(saved_variance)}, parameters, {});
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape));
      for_each_placement([&](const Placement& placement) {
        if (placement.dy != Pitch::dense) return;
        const Trained trained = train(object, x, parameters, placement);
        EXPECT_TRUE(within_ulp(2, trained.mean, mean)) << "mean";
        EXPECT_TRUE(within_ulp(4, trained.variance, variance)) << "variance";
        EXPECT_TRUE(within_ulp(4, trained.y, y)) << "y of training";
        EXPECT_TRUE(within_ulp(4, infer(object, x, parameters, saved_mean, saved_variance, placement), inferred))
            << "y of inference";
      });
    }
  }
}

TEST_P(StridesTest, Backward) {
  for (const Shape& shape : few_shapes()) {
    BackwardInputs inputs;
    inputs.x = generate(Data::normal, shape);
    inputs.dy = correlated_gradients(shape, inputs.x);
    inputs.gamma = random_parameters(shape.channels).gamma;
    const ChannelStatistics batch = batch_statistics(shape, widened(inputs.x));
    inputs.mean.assign(batch.mean.begin(), batch.mean.end());
    inputs.variance.assign(batch.variance.begin(), batch.variance.end());
    for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
      inputs.statistics = statistics;
      const Doubles mean = statistics == Statistics::batch ? batch.mean : widened(inputs.mean);
      const ExpectedGradients expected = gradients(shape, statistics, widened(inputs.x), widened(inputs.dy),
                                                   inputs.gamma, {mean, widened(inputs.variance)}, {});
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        const BatchNorm object(problem_of(layout, shape));
        for_each_placement([&](const Placement& placement) {
          const Gradients actual = differentiate(object, inputs, placement);
          EXPECT_TRUE(within_ulp(8, actual.dx, expected.dx)) << "dx";
          EXPECT_TRUE(within_ulp(4, actual.dgamma, expected.dgamma)) << "dgamma";
          EXPECT_TRUE(within_ulp(4, actual.dbeta, expected.dbeta)) << "dbeta";
        });
      }
    }
  }
}

/// One buffer of 96 channels, as DenseNet's blocks concatenate them, of which calls read and write some.
class Concatenation {
 public:
  Concatenation(Layout layout, const Shape& slice)
      : layout_(layout),
        slice_(slice),
        strides_(strides_of(layout, wide(), Pitch::dense)),
        values_(generate(Data::normal, wide())),
        buffer_(layout, wide(), Pitch::dense, values_) {}

  Input input(std::int64_t first_channel) const {
    return {static_cast<const float*>(buffer_.input().data) + offset_of(layout_, strides_, 0, first_channel, 0),
            strides_};
  }

  Output output(std::int64_t first_channel) {
    return {static_cast<float*>(buffer_.output().data) + offset_of(layout_, strides_, 0, first_channel, 0), strides_,
            false};
  }

  /// What the slice from this channel on held at first.
  Values original(std::int64_t first_channel) const { return slice_of(values_, first_channel); }
  Values now(std::int64_t first_channel) const { return slice_of(buffer_.values(), first_channel); }

  /// Everything but the slice from this channel on is as it was.
  void expect_nothing_else_written(std::int64_t first_channel) const {
    Values after = buffer_.values();
    for (std::int64_t i = 0; i < wide().elements(); ++i) {
      const std::int64_t c = i / slice_.spatial % wide().channels;
      if (c >= first_channel && c < first_channel + slice_.channels) after[i] = values_[i];
    }
    EXPECT_TRUE(same_bits(after, values_));
  }

 private:
  Shape wide() const { return {slice_.batch, 96, slice_.spatial}; }

  Values slice_of(const Values& values, std::int64_t first_channel) const {
    Values slice;
    for (std::int64_t i = 0; i < wide().elements(); ++i) {
      const std::int64_t c = i / slice_.spatial % wide().channels;
      if (c >= first_channel && c < first_channel + slice_.channels) slice.push_back(values[i]);
    }
    return slice;
  }

  Layout layout_;
  Shape slice_;
  Strides strides_;
  Values values_;
  TensorBuffer buffer_;
};

const std::vector<Shape>& slices() {
  static const std::vector<Shape> shapes{{2, 32, 49}, {3, 24, 7}, {1, 16, 3136}, {5, 29, 1}};
  return shapes;
}

TEST_P(StridesTest, ForwardWithinOneConcatenation) {
  for (const Shape& shape : slices()) {
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape));
      const Parameters parameters = random_parameters(shape.channels);
      Concatenation tensors(layout, shape);
      const Trained apart = train(object, tensors.original(0), parameters);
      Values mean(shape.channels), variance(shape.channels);
      ForwardTraining args;
      args.x = tensors.input(0);
      args.y = tensors.output(64);
      args.gamma = parameters.gamma.data();
      args.beta = parameters.beta.data();
      args.mean = mean.data();
      args.variance = variance.data();
      object.forward_training(args);
      EXPECT_TRUE(same_bits(tensors.now(64), apart.y)) << "y";
      EXPECT_TRUE(same_bits(mean, apart.mean)) << "mean";
      EXPECT_TRUE(same_bits(variance, apart.variance)) << "variance";
      tensors.expect_nothing_else_written(64);
    }
  }
}

TEST_P(StridesTest, BackwardWithinOneConcatenation) {
  for (const Shape& shape : slices()) {
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      const BatchNorm object(problem_of(layout, shape));
      Concatenation tensors(layout, shape);
      BackwardInputs inputs;
      inputs.x = tensors.original(0);
      inputs.dy = tensors.original(32);
      inputs.gamma = random_parameters(shape.channels).gamma;
      inputs.mean = per_channel(shape.channels, -1, 1, 5);
      inputs.variance = per_channel(shape.channels, 0.5, 2, 6);
      const Gradients apart = differentiate(object, inputs);
      Values dgamma(shape.channels), dbeta(shape.channels);
      Backward args;
      args.x = tensors.input(0);
      args.dy = tensors.input(32);
      args.dx = tensors.output(64);
      args.gamma = inputs.gamma.data();
      args.mean = inputs.mean.data();
      args.variance = inputs.variance.data();
      args.dgamma = dgamma.data();
      args.dbeta = dbeta.data();
      object.backward(args);
      EXPECT_TRUE(same_bits(tensors.now(64), apart.dx)) << "dx";
      EXPECT_TRUE(same_bits(dgamma, apart.dgamma)) << "dgamma";
      EXPECT_TRUE(same_bits(dbeta, apart.dbeta)) << "dbeta";
      tensors.expect_nothing_else_written(64);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, StridesTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
