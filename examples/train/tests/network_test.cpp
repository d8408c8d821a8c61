// Gradients against differences of the loss, optimizers against their formulas, the folded network against the trained.

#include <cmath>
#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>

#include "data/dataset.hpp"
#include "network/folded.hpp"
#include "network/fully_connected.hpp"
#include "network/loss.hpp"
#include "network/optimizer.hpp"
#include "network/residual_network.hpp"
#include "network/training.hpp"

namespace train {
namespace {

Dataset random_data(std::int64_t samples, std::int64_t features, int classes, std::uint64_t seed) {
  Random random(seed);
  Dataset data{features, classes, Values(static_cast<std::size_t>(samples * features)), {}};
  draw(data.x, 1.0, random);
  for (std::int64_t i = 0; i < samples; ++i) data.labels.push_back(static_cast<int>(random() % classes));
  return data;
}

double loss_of(Layer& network, const Dataset& data) {
  return softmax_cross_entropy(network.forward(data.x, data.samples(), Mode::training), data.labels, nullptr);
}

// Along the gradient the loss must change by the gradient's square, in every parameter: a direction has the noise of
// f32 once, where single elements drown in it.
void expect_gradients(Layer& network, const Dataset& data) {
  std::vector<Parameter*> parameters;
  network.append_parameters(parameters);
  Values dlogits;
  softmax_cross_entropy(network.forward(data.x, data.samples(), Mode::training), data.labels, &dlogits);
  network.backward(data.x, dlogits);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Parameter& parameter = *parameters[i];
    const Values start = parameter.value;
    const Values gradient = parameter.gradient;
    double square = 0;
    for (const float element : gradient) square += static_cast<double>(element) * static_cast<double>(element);
    ASSERT_GT(square, 0.0) << "parameter " << i;
    const double step = 1e-4 / std::sqrt(square);
    const auto loss_at = [&](double distance) {
      for (std::size_t k = 0; k < start.size(); ++k) {
        parameter.value[k] =
            static_cast<float>(static_cast<double>(start[k]) + distance * static_cast<double>(gradient[k]));
      }
      return loss_of(network, data);
    };
    const double slope = (loss_at(step) - loss_at(-step)) / (2 * step);
    parameter.value = start;
    EXPECT_NEAR(slope / square, 1.0, 0.02) << "parameter " << i << " of " << parameters.size();
  }
}

FullyConnectedSettings small(xbn::ActivationKind activation, bool batch_norm) {
  FullyConnectedSettings settings;
  settings.inputs = 6;
  settings.widths = {8, 7};
  settings.classes = 4;
  settings.activation = activation;
  settings.batch_norm = batch_norm;
  settings.seed = 3;
  return settings;
}

TEST(Gradients, OfFullyConnectedNetworks) {
  const Dataset data = random_data(32, 6, 4, 1);
  for (const xbn::ActivationKind activation : {xbn::ActivationKind::relu, xbn::ActivationKind::sigmoid}) {
    for (const bool batch_norm : {false, true}) {
      FullyConnected network(small(activation, batch_norm));
      expect_gradients(network, data);
    }
  }
}

TEST(Gradients, OfResidualNetworksInBothLayouts) {
  const Dataset data = random_data(8, 20, 3, 2);
  for (const xbn::Layout layout : {xbn::Layout::ncx, xbn::Layout::nxc}) {
    ResidualNetworkSettings settings;
    settings.image = {layout, 1, 4, 5};
    settings.channels = 4;
    settings.classes = 3;
    ResidualNetwork network(settings);
    expect_gradients(network, data);
  }
}

TEST(ResidualNetwork, IsTheSameInBothLayouts) {
  const Dataset data = random_data(6, 42, 3, 2);
  ResidualNetworkSettings settings;
  settings.image = {xbn::Layout::ncx, 1, 6, 7};
  settings.classes = 3;
  ResidualNetwork planar(settings);
  settings.image.layout = xbn::Layout::nxc;
  ResidualNetwork interleaved(settings);
  const Values a = planar.forward(data.x, data.samples(), Mode::training);
  const Values b = interleaved.forward(data.x, data.samples(), Mode::training);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5F) << i;
}

TEST(Convolution, OfOneImageByHand) {
  Random random(1);
  for (const xbn::Layout layout : {xbn::Layout::ncx, xbn::Layout::nxc}) {
    Convolution convolution({layout, 1, 2, 3}, 1, random);
    convolution.weights().value = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const Values y = convolution.forward({1, 10, 100, 2, 20, 200}, 1, Mode::training);
    EXPECT_EQ(y, (Values{5 + 60 + 16 + 180, 4 + 50 + 600 + 14 + 160 + 1800, 40 + 500 + 140 + 1600, 2 + 30 + 10 + 120,
                         1 + 20 + 300 + 8 + 100 + 1200, 10 + 200 + 80 + 1000}));
  }
}

TEST(ResidualNetwork, InferenceNormalisesByRunningAverages) {
  const Dataset data = random_data(6, 42, 3, 2);
  ResidualNetworkSettings settings;
  settings.image = {xbn::Layout::nxc, 1, 6, 7};
  settings.classes = 3;
  ResidualNetwork network(settings);
  const Values in_training = network.forward(data.x, data.samples(), Mode::training);
  // The averages take in the same batch over and over.
  for (int i = 0; i < 200; ++i) network.forward(data.x, data.samples(), Mode::training);
  const Values in_inference = network.forward(data.x, data.samples(), Mode::inference);
  for (std::size_t i = 0; i < in_training.size(); ++i) EXPECT_NEAR(in_training[i], in_inference[i], 0.05F);
}

TEST(Optimizer, FirstTwoSteps) {
  const auto after_two_steps = [](std::string_view name) {
    Parameter parameter(1, 1.0F);
    const std::unique_ptr<Optimizer> optimizer = make_optimizer(name, 0.1);
    for (const float gradient : {1.0F, 2.0F}) {
      parameter.gradient[0] = gradient;
      optimizer->step({&parameter});
    }
    return static_cast<double>(parameter.value[0]);
  };
  EXPECT_NEAR(after_two_steps("gradient_descent"), 1 - 0.1 * 1 - 0.1 * 2, 1e-6);
  EXPECT_NEAR(after_two_steps("momentum"), 1 - 0.1 * 1 - 0.1 * (0.9 * 1 + 2), 1e-6);
  EXPECT_NEAR(after_two_steps("rmsprop"), 1 - 0.1 / std::sqrt(0.1) - 0.2 / std::sqrt(0.09 + 0.4), 1e-5);
  const double first = (0.09 * 1 + 0.1 * 2) / (1 - 0.81);
  const double second = (0.000999 * 1 + 0.001 * 4) / (1 - 0.998001);
  EXPECT_NEAR(after_two_steps("adam"), 1 - 0.1 - 0.1 * first / std::sqrt(second), 1e-5);
}

TEST(Optimizer, UnknownNameIsRefused) {
  try {
    make_optimizer("newton", 0.1);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "optimizer: must be one of gradient_descent, momentum, rmsprop, adam; was 'newton'");
  }
}

TEST(Optimizer, EachOneLearnsSomethingEasy) {
  const Dataset data = random_data(64, 6, 2, 4);
  for (const std::string_view name : optimizer_names()) {
    FullyConnected network(small(xbn::ActivationKind::relu, true));
    Training training;
    training.steps = 200;
    training.batch = 64;
    training.optimizer = name;
    training.rate = name == "gradient_descent" ? 0.5 : name == "momentum" ? 0.1 : 0.02;
    const History history = train_network(network, {data, data}, training);
    EXPECT_LT(history.loss.back(), 0.2) << name;
  }
}

TEST(FoldedNetwork, GivesTheTrainedNetworksLogits) {
  const Dataset data = random_data(64, 6, 4, 5);
  for (const xbn::ActivationKind activation : {xbn::ActivationKind::relu, xbn::ActivationKind::sigmoid}) {
    for (const bool bias : {false, true}) {
      FullyConnectedSettings settings = small(activation, true);
      settings.bias_before_norm = bias;
      FullyConnected network(settings);
      Training training;
      training.batch = 32;
      train_network(network, {data, data}, training);
      const Values trained = network.forward(data.x, data.samples(), Mode::inference);
      const Values folded = FoldedNetwork(network).forward(data.x, data.samples());
      for (std::size_t i = 0; i < trained.size(); ++i) EXPECT_NEAR(trained[i], folded[i], 1e-4F);
    }
  }
}

TEST(Statistics, EstimatedOnesAreThoseOfTheWholeSet) {
  const Dataset data = random_data(50, 6, 4, 6);
  FullyConnected network(small(xbn::ActivationKind::relu, true));
  const Values in_training = network.forward(data.x, data.samples(), Mode::training);
  network.estimate_statistics(data.x, data.samples());
  const Values in_inference = network.forward(data.x, data.samples(), Mode::inference);
  // The running variance is the unbiased one.
  for (std::size_t i = 0; i < in_training.size(); ++i) EXPECT_NEAR(in_training[i], in_inference[i], 0.1F);
}

TEST(Data, StandardisedColumnsHaveMeanZeroAndDeviationNearOne) {
  Dataset data = random_data(300, 3, 2, 7);
  for (std::size_t i = 0; i < data.x.size(); i += 3) {
    data.x[i] = 7.0F;
    data.x[i + 1] = 100.0F + 5.0F * data.x[i + 1];
  }
  const Split result = standardised(split(data, 200, 1000, 8));
  EXPECT_EQ(result.train.samples(), 240);
  EXPECT_EQ(result.test.samples(), 60);
  Values sums(3);
  sum_columns(result.train.x, sums);
  EXPECT_EQ(sums[0], 0.0F);
  EXPECT_NEAR(sums[1] / 240, 0.0, 1e-4);
  double squares = 0;
  for (std::size_t i = 1; i < result.train.x.size(); i += 3) squares += std::pow(result.train.x[i], 2);
  // Variances of about 0, 25 and 1: a tenth of their mean is 0.87.
  EXPECT_NEAR(squares / 240, 25 / 25.87, 1e-2);
}

TEST(Data, TooFewSamplesAreRefused) {
  EXPECT_THROW(split(random_data(10, 3, 2, 7), 200, 1000, 1), std::invalid_argument);
}

}  // namespace
}  // namespace train
