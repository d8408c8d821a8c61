// a. Loss and accuracy over steps, with and without batch norm, over depths and learning rates; and the optimizers.

#include "experiments/experiment.hpp"
#include "network/optimizer.hpp"

namespace train {
namespace {

constexpr std::int64_t width = 48;

struct Run {
  std::string activation;
  int depth = 0;
  std::string optimizer;
  double rate = 0;
  bool batch_norm = false;
  std::uint64_t repetition = 0;  ///< a repetition has weights and mini-batches of its own
  History history{};
};

void carry_out(const Context& context, Run& run, int steps) {
  FullyConnectedSettings settings = context.network(run.depth, width);
  settings.activation = run.activation == "relu" ? xbn::ActivationKind::relu : xbn::ActivationKind::sigmoid;
  settings.batch_norm = run.batch_norm;
  settings.seed = context.seed + 1000 * run.repetition;
  FullyConnected network(settings);
  Training training;
  training.steps = steps;
  training.optimizer = run.optimizer;
  training.rate = run.rate;
  training.seed = settings.seed + 1;
  training.every = steps / 40;
  run.history = train_network(network, context.normalised, training);
}

json to_json(const Run& run, int steps) {
  return {{"activation", run.activation},
          {"depth", run.depth},
          {"optimizer", run.optimizer},
          {"rate", run.rate},
          {"batch_norm", run.batch_norm},
          {"repetition", run.repetition},
          {"diverged", run.history.steps.empty() || run.history.steps.back() != steps},
          {"history", train::to_json(run.history)}};
}

// Longest first, so that no job is left alone at the end.
std::vector<Run> grid(const Context& context) {
  const std::vector<int> depths = context.choose<std::vector<int>>({8, 2}, {12, 6, 2});
  const std::vector<double> rates =
      context.choose<std::vector<double>>({0.1, 1.0, 10.0}, {0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0});
  std::vector<Run> runs;
  for (const int depth : depths) {
    for (const char* activation : {"sigmoid", "relu"}) {
      for (const double rate : rates) {
        for (const bool batch_norm : {false, true}) {
          for (std::uint64_t repetition = 0; repetition < context.choose(1U, 3U); ++repetition) {
            runs.push_back({activation, depth, "gradient_descent", rate, batch_norm, repetition});
          }
        }
      }
    }
  }
  return runs;
}

std::vector<Run> optimizers(const Context& context) {
  std::vector<Run> runs;
  for (const std::string_view optimizer : optimizer_names()) {
    const double rate = optimizer == "gradient_descent" ? 1.0 : optimizer == "momentum" ? 0.1 : 0.003;
    for (const bool batch_norm : {false, true}) {
      runs.push_back({"sigmoid", context.choose(8, 12), std::string(optimizer), rate, batch_norm});
    }
  }
  return runs;
}

}  // namespace

json learning(const Context& context) {
  const int steps = context.choose(200, 600);
  json result{{"classes", context.raw.train.classes}, {"width", width}, {"batch", Training{}.batch}, {"steps", steps}};
  std::vector<Run> runs = grid(context);
  std::vector<Run> of_optimizers = optimizers(context);
  const auto count = static_cast<std::int64_t>(runs.size());
  context.for_each(count + static_cast<std::int64_t>(of_optimizers.size()), [&](std::int64_t i) {
    carry_out(context,
              i < count ? runs[static_cast<std::size_t>(i)] : of_optimizers[static_cast<std::size_t>(i - count)],
              steps);
  });
  for (const Run& run : runs) result["runs"].push_back(to_json(run, steps));
  for (const Run& run : of_optimizers) result["optimizers"].push_back(to_json(run, steps));
  return result;
}

}  // namespace train
