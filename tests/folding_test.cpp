#include "xbn/folding.hpp"

#include <cmath>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "reference.hpp"
#include "refusal.hpp"

namespace xbn {
namespace {

using test::message_of;
using test::Values;

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

class Random {
 public:
  Values values(std::int64_t count, float low, float high) {
    std::uniform_real_distribution<float> distribution(low, high);
    Values values(static_cast<std::size_t>(count));
    for (float& value : values) value = distribution(engine_);
    return values;
  }

 private:
  std::mt19937 engine_{7};
};

/// A batch norm with random parameters.
struct Norm {
  explicit Norm(std::int64_t channels_, EpsilonPlacement placement_ = EpsilonPlacement::inside_root)
      : channels(channels_), placement(placement_) {
    Random random;
    gamma = random.values(channels, -2, 2);
    beta = random.values(channels, -1, 1);
    mean = random.values(channels, -3, 3);
    variance = random.values(channels, 0.1F, 4);
  }

  FoldedSource source() const {
    return {channels, gamma.data(), beta.data(), mean.data(), variance.data(), epsilon, placement};
  }

  double scale(std::int64_t c) const {
    return double{gamma[c]} * test::reciprocal_deviation(variance[c], {epsilon, placement});
  }

  double operator()(double x, std::int64_t c) const { return (x - mean[c]) * scale(c) + beta[c]; }

  std::int64_t channels;
  EpsilonPlacement placement;
  double epsilon = 1e-3;
  Values gamma, beta, mean, variance;
};

class Folding : public testing::TestWithParam<EpsilonPlacement> {};

INSTANTIATE_TEST_SUITE_P(EpsilonPlacements, Folding,
                         testing::Values(EpsilonPlacement::inside_root, EpsilonPlacement::outside_root),
                         [](const auto& placement) { return placement.index == 0 ? "Inside" : "Outside"; });

TEST_P(Folding, ToTwoNumbersRoundsOnce) {
  const Norm norm(37, GetParam());
  Values scale(37), shift(37);
  fold_scale_shift(norm.source(), scale.data(), shift.data());
  for (std::int64_t c = 0; c < norm.channels; ++c) {
    EXPECT_EQ(scale[c], static_cast<float>(norm.scale(c)));
    EXPECT_EQ(shift[c], static_cast<float>(norm.beta[c] - norm.mean[c] * norm.scale(c)));
  }
}

TEST_P(Folding, ToThreeNumbersKeepsTheMean) {
  const Norm norm(37, GetParam());
  Values mean(37), scale(37), shift(37);
  fold_mean_scale_shift(norm.source(), mean.data(), scale.data(), shift.data());
  EXPECT_EQ(mean, norm.mean);
  EXPECT_EQ(shift, norm.beta);
  for (std::int64_t c = 0; c < norm.channels; ++c) EXPECT_EQ(scale[c], static_cast<float>(norm.scale(c)));
}

TEST(FoldingTest, ThreeNumbersKeepTheAccuracyThatTwoLose) {
  Norm norm(1);
  norm.mean = {12345.678F};
  norm.variance = {1e-4F};
  norm.epsilon = 0;
  Values mean(1), scale(1), shift(1), scale_of_two(1), shift_of_two(1);
  fold_mean_scale_shift(norm.source(), mean.data(), scale.data(), shift.data());
  fold_scale_shift(norm.source(), scale_of_two.data(), shift_of_two.data());
  const float x = std::nextafter(12345.678F, 20000.0F);
  const double exact = norm(x, 0);
  EXPECT_NEAR((x - mean[0]) * scale[0] + shift[0], exact, 1e-6 * std::abs(exact));
  EXPECT_GT(std::abs(std::fma(x, scale_of_two[0], shift_of_two[0]) - exact), 1e-6 * std::abs(exact));
}

TEST(FoldingTest, TakesAbsentGammaAsOneAndAbsentBetaAsZero) {
  Norm norm(5);
  FoldedSource source = norm.source();
  source.gamma = source.beta = nullptr;
  Values scale(5), shift(5);
  fold_scale_shift(source, scale.data(), shift.data());
  norm.gamma.assign(5, 1);
  norm.beta.assign(5, 0);
  for (std::int64_t c = 0; c < 5; ++c) {
    EXPECT_EQ(scale[c], static_cast<float>(norm.scale(c)));
    EXPECT_EQ(shift[c], static_cast<float>(-norm.mean[c] * norm.scale(c)));
  }
}

TEST(FoldingTest, KeepsTheContractsExtremesInTheirChannels) {
  Norm norm(4);
  norm.variance = {0.0F, -1e-9F, not_a_number, 4.0F};
  norm.epsilon = 0;
  Values scale(4), shift(4);
  for (const EpsilonPlacement placement : {EpsilonPlacement::inside_root, EpsilonPlacement::outside_root}) {
    norm.placement = placement;
    fold_scale_shift(norm.source(), scale.data(), shift.data());
    EXPECT_EQ(scale[0], 0);
    EXPECT_EQ(shift[0], norm.beta[0]);
    EXPECT_TRUE(std::isnan(scale[1]) && std::isnan(shift[1]));
    EXPECT_TRUE(std::isnan(scale[2]) && std::isnan(shift[2]));
    EXPECT_EQ(scale[3], norm.gamma[3] / 2);
  }
  // A negative variance is no less wrong where epsilon would hide it.
  norm.epsilon = 1;
  norm.placement = EpsilonPlacement::inside_root;
  fold_scale_shift(norm.source(), scale.data(), shift.data());
  EXPECT_TRUE(std::isnan(scale[1]));
  EXPECT_EQ(scale[0], norm.gamma[0]);
  norm.epsilon = 0.5;
  norm.placement = EpsilonPlacement::outside_root;
  fold_scale_shift(norm.source(), scale.data(), shift.data());
  EXPECT_EQ(scale[0], 2 * norm.gamma[0]);
}

/// A convolution at one place of its output, in double: the dot product of each output channel's weights with the
/// inputs of its group. `inputs` has input_channels x kernel values.
std::vector<double> convolved(const ConvolutionWeights& convolution, const Values& inputs) {
  const std::int64_t in = convolution.input_channels / convolution.groups;
  const std::int64_t out = convolution.output_channels / convolution.groups;
  std::vector<double> outputs;
  for (std::int64_t g = 0; g < convolution.groups; ++g) {
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = convolution.bias != nullptr ? convolution.bias[g * out + o] : 0.0;
      for (std::int64_t i = 0; i < in; ++i) {
        for (std::int64_t k = 0; k < convolution.kernel; ++k) {
          const std::int64_t row =
              convolution.layout == WeightsLayout::oihw ? (g * out + o) * in + i : (g * in + i) * out + o;
          sum +=
              double{convolution.weights[row * convolution.kernel + k]} * inputs[(g * in + i) * convolution.kernel + k];
        }
      }
      outputs.push_back(sum);
    }
  }
  return outputs;
}

struct ConvolutionCase {
  const char* name;
  WeightsLayout layout;
  std::int64_t outputs, inputs, groups, kernel;
};

class ConvolutionFolding : public testing::TestWithParam<ConvolutionCase> {};

INSTANTIATE_TEST_SUITE_P(Convolutions, ConvolutionFolding,
                         testing::Values(ConvolutionCase{"Plain", WeightsLayout::oihw, 6, 5, 1, 9},
                                         ConvolutionCase{"Pointwise", WeightsLayout::oihw, 6, 5, 1, 1},
                                         ConvolutionCase{"Grouped", WeightsLayout::oihw, 6, 9, 3, 4},
                                         ConvolutionCase{"Depthwise", WeightsLayout::oihw, 5, 5, 5, 9},
                                         ConvolutionCase{"DepthwiseWithMultiplier", WeightsLayout::oihw, 10, 5, 5, 9},
                                         ConvolutionCase{"Transposed", WeightsLayout::iohw, 6, 5, 1, 9},
                                         ConvolutionCase{"TransposedGrouped", WeightsLayout::iohw, 6, 9, 3, 4},
                                         ConvolutionCase{"TransposedDepthwise", WeightsLayout::iohw, 5, 5, 5, 4}),
                         [](const auto& convolution) { return convolution.param.name; });

TEST_P(ConvolutionFolding, GivesTheConvolutionFollowedByBatchNorm) {
  const ConvolutionCase& c = GetParam();
  Random random;
  const Norm norm(c.outputs);
  const Values weights = random.values(c.outputs * (c.inputs / c.groups) * c.kernel, -1, 1);
  const Values bias = random.values(c.outputs, -1, 1);
  const Values inputs = random.values(c.inputs * c.kernel, -1, 1);
  for (const float* given_bias : {bias.data(), static_cast<const float*>(nullptr)}) {
    const ConvolutionWeights before{c.layout, c.outputs, c.inputs, c.groups, c.kernel, weights.data(), given_bias};
    Values folded_weights(weights.size()), folded_bias(bias.size());
    fold_into_convolution(norm.source(), before, folded_weights.data(), folded_bias.data());
    ConvolutionWeights after = before;
    after.weights = folded_weights.data();
    after.bias = folded_bias.data();
    const std::vector<double> outputs_before = convolved(before, inputs);
    const std::vector<double> outputs_after = convolved(after, inputs);
    for (std::int64_t o = 0; o < c.outputs; ++o) {
      // Half an ulp of each folded number, for sums of up to 45 products of at most 1 * |scale|.
      const double scale = std::abs(norm.scale(o));
      EXPECT_NEAR(outputs_after[o], norm(outputs_before[o], o), 0x1p-24 * (50 * scale + 10));
    }

    Values weights_in_place = weights, bias_in_place = bias;
    ConvolutionWeights in_place = before;
    in_place.weights = weights_in_place.data();
    if (given_bias != nullptr) in_place.bias = bias_in_place.data();
    fold_into_convolution(norm.source(), in_place, weights_in_place.data(), bias_in_place.data());
    EXPECT_EQ(weights_in_place, folded_weights);
    EXPECT_EQ(bias_in_place, folded_bias);
  }
}

TEST(FoldingTest, IntoConvolutionRoundsOnce) {
  const Norm norm(3);
  const Values weights = Random().values(3 * 4, -1, 1);
  const Values bias = Random().values(3, -1, 1);
  Values folded_weights(12), folded_bias(3);
  fold_into_linear(norm.source(), 4, weights.data(), bias.data(), folded_weights.data(), folded_bias.data());
  for (std::int64_t o = 0; o < 3; ++o) {
    EXPECT_EQ(folded_bias[o], static_cast<float>(norm(bias[o], o)));
    for (std::int64_t i = 4 * o; i < 4 * o + 4; ++i) {
      EXPECT_EQ(folded_weights[i], static_cast<float>(weights[i] * norm.scale(o)));
    }
  }
}

class BadFolding : public testing::Test {
 protected:
  /// `call` is refused with this message, and writes nothing.
  void expect_refused(const std::function<void()>& call, const std::string& message) {
    const Values before = memory;
    EXPECT_EQ(message_of(call), message);
    EXPECT_EQ(memory, before);
  }

  Values memory = Random().values(400, 0.5F, 1);
  float* const array = memory.data();
  FoldedSource source{4, array, array + 10, array + 20, array + 30};
  float* const scale = array + 40;
  float* const shift = array + 50;
  float* const mean = array + 60;
  ConvolutionWeights convolution{WeightsLayout::oihw, 4, 6, 2, 3, array + 100, array + 180};
  float* const folded_weights = array + 200;
  float* const folded_bias = array + 280;
};

TEST_F(BadFolding, OfTheSourceIsRefused) {
  const auto expect_each_refused = [&](const std::string& message) {
    expect_refused([&] { fold_scale_shift(source, scale, shift); }, message);
    expect_refused([&] { fold_mean_scale_shift(source, mean, scale, shift); }, message);
    expect_refused([&] { fold_into_linear(source, 3, array + 100, nullptr, folded_weights, folded_bias); }, message);
  };
  const FoldedSource legal = source;
  source.channels = 0;
  expect_each_refused("source.channels must be at least 1, was 0");
  source.channels = -2;
  expect_each_refused("source.channels must be at least 1, was -2");
  source = legal;
  source.mean = nullptr;
  expect_each_refused("source.mean must not be null, was null");
  source = legal;
  source.variance = nullptr;
  expect_each_refused("source.variance must not be null, was null");
  source = legal;
  source.epsilon = -1;
  expect_each_refused("source.epsilon must be finite and at least 0, was -1");
  source.epsilon = infinity;
  expect_each_refused("source.epsilon must be finite and at least 0, was inf");
  source = legal;
  source.epsilon_placement = static_cast<EpsilonPlacement>(9);
  expect_each_refused("source.epsilon_placement must be inside_root or outside_root, was 9");
}

TEST_F(BadFolding, OfOutputsIsRefused) {
  const std::string nothing_else = " must overlap nothing else of the call, was ";
  expect_refused([&] { fold_scale_shift(source, nullptr, shift); }, "scale must not be null, was null");
  expect_refused([&] { fold_scale_shift(source, scale, nullptr); }, "shift must not be null, was null");
  expect_refused([&] { fold_mean_scale_shift(source, nullptr, scale, shift); }, "mean must not be null, was null");
  expect_refused([&] { fold_scale_shift(source, scale, scale + 3); }, "shift" + nothing_else + "12 bytes after scale");
  expect_refused([&] { fold_scale_shift(source, array, shift); }, "scale" + nothing_else + "at source.gamma");
  expect_refused([&] { fold_mean_scale_shift(source, array + 19, scale, shift); },
                 "mean" + nothing_else + "4 bytes before source.mean");
}

TEST_F(BadFolding, OfConvolutionsIsRefused) {
  const ConvolutionWeights legal = convolution;
  const auto expect = [&](const std::string& message) {
    expect_refused([&] { fold_into_convolution(source, convolution, folded_weights, folded_bias); }, message);
    convolution = legal;
  };
  convolution.layout = static_cast<WeightsLayout>(2);
  expect("layout must be oihw or iohw, was 2");
  convolution.output_channels = 0;
  expect("output_channels must be at least 1, was 0");
  convolution.output_channels = 6;
  expect("output_channels must be source.channels, 4, was 6");
  convolution.input_channels = -6;
  expect("input_channels must be at least 1, was -6");
  convolution.groups = 0;
  expect("groups must be at least 1, was 0");
  convolution.groups = 3;
  expect("groups must divide output_channels, 4, was 3");
  convolution.groups = 4;
  expect("groups must divide input_channels, 6, was 4");
  convolution.kernel = 0;
  expect("kernel must be at least 1, was 0");
  convolution.kernel = max_int64 / 8;
  expect("weights must take at most 2^63 - 1 bytes, was 4 * 3 * 1152921504606846975 elements");
  convolution.weights = nullptr;
  expect("weights must not be null, was null");
  expect_refused([&] { fold_into_linear(source, 0, array + 100, nullptr, folded_weights, folded_bias); },
                 "input_features must be at least 1, was 0");
}

TEST_F(BadFolding, OfFoldedWeightsAndBiasIsRefused) {
  const std::string nothing_else = " must overlap nothing else of the call, was ";
  float* const weights = array + 100;
  float* const bias = array + 180;
  const auto expect = [&](float* new_weights, float* new_bias, const std::string& message) {
    expect_refused([&] { fold_into_convolution(source, convolution, new_weights, new_bias); }, message);
  };
  expect(nullptr, folded_bias, "folded_weights must not be null, was null");
  expect(folded_weights, nullptr, "folded_bias must not be null, was null");
  expect(weights + 1, folded_bias, "folded_weights" + nothing_else + "4 bytes after weights");
  expect(bias, folded_bias, "folded_weights" + nothing_else + "at bias");
  expect(folded_weights, bias - 1, "folded_bias" + nothing_else + "4 bytes before bias");
  expect(folded_weights, weights, "folded_bias" + nothing_else + "at weights");
  expect(folded_weights, folded_weights + 35, "folded_bias" + nothing_else + "140 bytes after folded_weights");
  expect(folded_weights, array + 20, "folded_bias" + nothing_else + "at source.mean");
  convolution.bias = nullptr;
  expect(weights, weights, "folded_bias" + nothing_else + "at folded_weights");
}

}  // namespace
}  // namespace xbn
