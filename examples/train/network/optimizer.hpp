#pragma once

#include <memory>
#include <string_view>

#include "network/layer.hpp"

namespace train {

/// How parameters follow their gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// A step of all parameters, which must be the same ones at each call.
  void step(const std::vector<Parameter*>& parameters);

 protected:
  /// Numbers that an optimizer keeps for each number of a parameter; zero before the first step.
  struct State {
    Values first{};
    Values second{};
  };

 private:
  virtual void update(Parameter& parameter, State& state, std::int64_t steps_with_this) = 0;

  std::vector<State> states_{};
  std::int64_t steps_ = 0;
};

/// "gradient_descent", "momentum" (0.9), "rmsprop" (decay 0.9) or "adam" (decays 0.9 and 0.999).
const std::vector<std::string_view>& optimizer_names();

/// The optimizer of that name. Throws std::invalid_argument, which lists the names, where there is none.
std::unique_ptr<Optimizer> make_optimizer(std::string_view name, double rate);

}  // namespace train
