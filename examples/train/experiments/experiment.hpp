#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "network/fully_connected.hpp"
#include "network/training.hpp"
#include "progress.hpp"

namespace train {

using nlohmann::json;

/// What every experiment is given.
struct Context {
  Split raw{};         ///< values as the file has them
  Split normalised{};  ///< see standardised()
  std::uint64_t seed = 1;
  bool quick = false;
  int jobs = 1;
  Progress* progress = nullptr;

  /// The first in a quick run, else the second.
  template <class T>
  T choose(T of_quick, T of_full) const {
    return quick ? of_quick : of_full;
  }

  /// body(0) to body(count - 1) side by side, together `part` of the experiment's work.
  void for_each(std::int64_t count, const std::function<void(std::int64_t)>& body, double part = 1.0) const;

  /// For networks on this data, with `depth` hidden layers of `width`.
  FullyConnectedSettings network(int depth, std::int64_t width) const;
};

/// An experiment's results hold everything that its figure and its table show. Numbers of time are below a key "times",
/// and nothing else differs between two runs with one seed.
struct Experiment {
  std::string_view id;
  std::string_view title;
  double work;  ///< about how many seconds a full run takes
  json (*run)(const Context&);
};

/// All of them, in their order.
const std::vector<Experiment>& all_experiments();

json to_json(const History& history);

json learning(const Context& context);
json inputs(const Context& context);
json shift(const Context& context);
json invariances(const Context& context);
json batch_size(const Context& context);
json epsilon(const Context& context);
json deployment(const Context& context);
json convolutions(const Context& context);

}  // namespace train
