// Deployment in bf16 and int8, beside the trained network.

#include <gtest/gtest.h>
#include <stdexcept>

#include "network/bf16_network.hpp"
#include "network/int8_network.hpp"
#include "network/loss.hpp"
#include "network/training.hpp"

namespace train {
namespace {

Dataset random_data(std::int64_t samples, std::uint64_t seed) {
  constexpr std::int64_t features = 12;
  Random random(seed);
  Dataset data{features, 4, Values(static_cast<std::size_t>(samples * features)), {}};
  draw(data.x, 1.0, random);
  for (std::int64_t i = 0; i < samples; ++i) data.labels.push_back(static_cast<int>(i % 4));
  return data;
}

FullyConnectedSettings settings_of(xbn::ActivationKind activation) {
  FullyConnectedSettings settings;
  settings.inputs = 12;
  settings.widths = {40, 24};
  settings.classes = 4;
  settings.activation = activation;
  return settings;
}

class Narrow : public testing::Test {
 protected:
  void SetUp() override {
    Training training;
    training.batch = 32;
    train_network(network_, {data_, data_}, training);
    wanted_ = network_.forward(data_.x, data_.samples(), Mode::inference);
  }

  template <class Network>
  void expect_near(Network& narrow, double bound) {
    try {
      EXPECT_LT(relative_difference(narrow.forward(data_.x, data_.samples()), wanted_), bound);
      const Values one(data_.x.begin(), data_.x.begin() + data_.features);
      const Values of_one(wanted_.begin(), wanted_.begin() + 4);
      EXPECT_LT(relative_difference(narrow.forward(one, 1), of_one), 2 * bound);
    } catch (const NoSuchProduct& reason) {
      GTEST_SKIP() << reason.what();
    }
  }

  Dataset data_ = random_data(128, 1);
  FullyConnected network_{settings_of(xbn::ActivationKind::relu)};
  Values wanted_{};
};

TEST_F(Narrow, Bf16) {
  Bf16Network narrow(network_);
  expect_near(narrow, 0.03);
}

TEST_F(Narrow, Int8) {
  Int8Network narrow(network_, data_);
  expect_near(narrow, 0.1);
}

TEST_F(Narrow, Int8RefusesAnActivationThatCannotBeScaled) {
  FullyConnected sigmoid(settings_of(xbn::ActivationKind::sigmoid));
  EXPECT_THROW(Int8Network(sigmoid, data_), std::invalid_argument);
}

}  // namespace
}  // namespace train
