#include "experiments/experiment.hpp"

#include "parallel.hpp"

namespace train {

void Context::for_each(std::int64_t count, const std::function<void(std::int64_t)>& body, double part) const {
  for_each_parallel(jobs, count, [&](std::int64_t i) {
    body(i);
    progress->advance(part / static_cast<double>(count));
  });
}

FullyConnectedSettings Context::network(int depth, std::int64_t width) const {
  FullyConnectedSettings settings;
  settings.inputs = raw.train.features;
  settings.classes = raw.train.classes;
  settings.widths.assign(static_cast<std::size_t>(depth), width);
  settings.seed = seed;
  return settings;
}

const std::vector<Experiment>& all_experiments() {
  static const std::vector<Experiment> experiments{
      {"a", "learning rates and depths", 13, learning},
      {"b", "inputs", 0.6, inputs},
      {"c", "covariate shift", 1.5, shift},
      {"d", "what batch norm leaves as it was", 0.1, invariances},
      {"e", "batch size", 1.5, batch_size},
      {"f", "the two conventions for epsilon", 0.4, epsilon},
      {"g", "deployment", 0.6, deployment},
      {"h", "convolutions in two layouts", 3, convolutions},
  };
  return experiments;
}

json to_json(const History& history) {
  return {{"steps", history.steps}, {"loss", history.loss}, {"accuracy", history.accuracy}};
}

}  // namespace train
