// b. Raw inputs, normalised inputs, and batch norm in every layer on raw inputs: how fast each learns.

#include <algorithm>

#include "experiments/experiment.hpp"

namespace train {
namespace {

constexpr double goal = 0.9;

// Steps until the goal; null where it is not reached.
json steps_to_goal(const History& history) {
  for (std::size_t i = 0; i < history.steps.size(); ++i) {
    if (history.accuracy[i] >= goal) return history.steps[i];
  }
  return nullptr;
}

struct Run {
  std::string variant;
  double rate = 0;
  std::vector<History> repetitions{};  ///< each with weights and mini-batches of its own

  /// The mean of all repetitions; null where one does not reach the goal.
  json steps() const {
    double sum = 0;
    for (const History& history : repetitions) {
      const json steps = steps_to_goal(history);
      if (steps.is_null()) return nullptr;
      sum += steps.get<double>();
    }
    return sum / static_cast<double>(repetitions.size());
  }

  /// The mean of all repetitions in the end; one that diverged counts as nothing learnt.
  double accuracy() const {
    double sum = 0;
    for (const History& history : repetitions) sum += history.accuracy.empty() ? 0.0 : history.accuracy.back();
    return sum / static_cast<double>(repetitions.size());
  }
};

// Of two runs of one variant, the one that learns faster.
bool faster(const Run& a, const Run& b) {
  const json steps_a = a.steps();
  const json steps_b = b.steps();
  if (steps_a.is_null() != steps_b.is_null()) return steps_b.is_null();
  if (steps_a != steps_b) return steps_a < steps_b;
  return a.accuracy() > b.accuracy();
}

}  // namespace

json inputs(const Context& context) {
  constexpr int depth = 3;
  constexpr std::int64_t width = 48;
  const int steps = context.choose(200, 500);
  const std::vector<const char*> variants{"raw", "normalised", "batch_norm"};
  const std::vector<double> rates = context.choose<std::vector<double>>(
      {0.0003, 0.003, 0.03, 0.3, 3.0}, {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0});
  std::vector<Run> runs;
  for (const char* variant : variants) {
    for (const double rate : rates) runs.push_back({variant, rate});
  }
  const std::size_t repetitions = context.choose(3U, 5U);
  for (Run& run : runs) run.repetitions.resize(repetitions);
  context.for_each(static_cast<std::int64_t>(runs.size() * repetitions), [&](std::int64_t i) {
    Run& run = runs[static_cast<std::size_t>(i) / repetitions];
    const std::size_t repetition = static_cast<std::size_t>(i) % repetitions;
    FullyConnectedSettings settings = context.network(depth, width);
    settings.batch_norm = run.variant == "batch_norm";
    settings.seed += 1000 * repetition;
    FullyConnected network(settings);
    Training training;
    training.steps = steps;
    training.rate = run.rate;
    training.seed = settings.seed + 1;
    training.every = 5;
    const Split& data = run.variant == "normalised" ? context.normalised : context.raw;
    run.repetitions[repetition] = train_network(network, data, training);
  });

  json result{{"depth", depth}, {"width", width}, {"steps", steps}, {"goal", goal}, {"repetitions", repetitions}};
  for (const Run& run : runs) {
    result["runs"].push_back({{"variant", run.variant},
                              {"rate", run.rate},
                              {"steps_to_goal", run.steps()},
                              {"accuracy", run.accuracy()},
                              {"history", to_json(run.repetitions.front())}});
  }
  for (auto begin = runs.begin(); begin != runs.end(); begin += static_cast<std::ptrdiff_t>(rates.size())) {
    const auto best = std::min_element(begin, begin + static_cast<std::ptrdiff_t>(rates.size()), faster);
    result["best"][best->variant] = {
        {"rate", best->rate}, {"steps_to_goal", best->steps()}, {"accuracy", best->accuracy()}};
  }
  return result;
}

}  // namespace train
