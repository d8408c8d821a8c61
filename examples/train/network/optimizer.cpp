#include "network/optimizer.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

namespace train {
namespace {

class GradientDescent : public Optimizer {
 public:
  explicit GradientDescent(double rate) : rate_(static_cast<float>(rate)) {}

 private:
  void update(Parameter& parameter, State&, std::int64_t) override {
    for (std::size_t i = 0; i < parameter.value.size(); ++i) parameter.value[i] -= rate_ * parameter.gradient[i];
  }

  float rate_;
};

class Momentum : public Optimizer {
 public:
  explicit Momentum(double rate) : rate_(static_cast<float>(rate)) {}

 private:
  void update(Parameter& parameter, State& state, std::int64_t) override {
    constexpr float momentum = 0.9F;
    for (std::size_t i = 0; i < parameter.value.size(); ++i) {
      state.first[i] = momentum * state.first[i] + parameter.gradient[i];
      parameter.value[i] -= rate_ * state.first[i];
    }
  }

  float rate_;
};

class RmsProp : public Optimizer {
 public:
  explicit RmsProp(double rate) : rate_(static_cast<float>(rate)) {}

 private:
  void update(Parameter& parameter, State& state, std::int64_t) override {
    constexpr float decay = 0.9F;
    constexpr float epsilon = 1e-8F;
    for (std::size_t i = 0; i < parameter.value.size(); ++i) {
      const float gradient = parameter.gradient[i];
      state.second[i] = decay * state.second[i] + (1.0F - decay) * gradient * gradient;
      parameter.value[i] -= rate_ * gradient / (std::sqrt(state.second[i]) + epsilon);
    }
  }

  float rate_;
};

class Adam : public Optimizer {
 public:
  explicit Adam(double rate) : rate_(rate) {}

 private:
  void update(Parameter& parameter, State& state, std::int64_t steps) override {
    constexpr double first_decay = 0.9;
    constexpr double second_decay = 0.999;
    constexpr float epsilon = 1e-8F;
    constexpr auto first = static_cast<float>(first_decay);
    constexpr auto second = static_cast<float>(second_decay);
    // Both averages begin at zero; divided by the weight of what they have taken in, they are of the right size.
    const auto power = static_cast<double>(steps);
    const auto rate = static_cast<float>(rate_ / (1.0 - std::pow(first_decay, power)));
    const auto root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(second_decay, power)));
    for (std::size_t i = 0; i < parameter.value.size(); ++i) {
      const float gradient = parameter.gradient[i];
      state.first[i] = first * state.first[i] + (1.0F - first) * gradient;
      state.second[i] = second * state.second[i] + (1.0F - second) * gradient * gradient;
      parameter.value[i] -= rate * state.first[i] / (root * std::sqrt(state.second[i]) + epsilon);
    }
  }

  double rate_;
};

}  // namespace

void Optimizer::step(const std::vector<Parameter*>& parameters) {
  if (states_.empty()) {
    for (const Parameter* parameter : parameters) {
      states_.push_back({Values(parameter->value.size(), 0.0F), Values(parameter->value.size(), 0.0F)});
    }
  }
  ++steps_;
  for (std::size_t i = 0; i < parameters.size(); ++i) update(*parameters[i], states_[i], steps_);
}

const std::vector<std::string_view>& optimizer_names() {
  static const std::vector<std::string_view> names{"gradient_descent", "momentum", "rmsprop", "adam"};
  return names;
}

std::unique_ptr<Optimizer> make_optimizer(std::string_view name, double rate) {
  if (name == "gradient_descent") return std::make_unique<GradientDescent>(rate);
  if (name == "momentum") return std::make_unique<Momentum>(rate);
  if (name == "rmsprop") return std::make_unique<RmsProp>(rate);
  if (name == "adam") return std::make_unique<Adam>(rate);
  std::string names;
  for (const std::string_view known : optimizer_names()) names += (names.empty() ? "" : ", ") + std::string(known);
  throw std::invalid_argument("optimizer: must be one of " + names + "; was '" + std::string(name) + "'");
}

}  // namespace train
