// h. A network of ResNet's blocks, in both layouts of images.

#include <algorithm>
#include <chrono>
#include <cmath>

#include "experiments/experiment.hpp"
#include "network/residual_network.hpp"

namespace train {
namespace {

struct Run {
  xbn::Layout layout;
  Values first_logits{};
  History history{};
  double seconds = 0;
};

}  // namespace

json convolutions(const Context& context) {
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(context.raw.train.features))));
  if (side * side != context.raw.train.features) {
    return {{"skipped",
             "the samples are not square images: they have " + std::to_string(context.raw.train.features) + " values"}};
  }
  ResidualNetworkSettings settings;
  settings.image = {xbn::Layout::ncx, 1, side, side};
  settings.channels = 16;
  settings.classes = context.raw.train.classes;
  settings.seed = context.seed;
  Training training;
  training.steps = context.choose(250, 600);
  training.batch = 32;
  training.optimizer = "adam";
  training.rate = 0.003;
  training.seed = context.seed + 1;
  training.every = context.choose(10, 20);

  std::vector<Run> runs{{xbn::Layout::ncx}, {xbn::Layout::nxc}};
  const Dataset& test = context.normalised.test;
  context.for_each(2, [&](std::int64_t i) {
    Run& run = runs[static_cast<std::size_t>(i)];
    ResidualNetworkSettings of_run = settings;
    of_run.image.layout = run.layout;
    ResidualNetwork network(of_run);
    run.first_logits = network.forward(test.x, test.samples(), Mode::inference);
    const auto start = std::chrono::steady_clock::now();
    run.history = train_network(network, context.normalised, training);
    run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  });

  double largest = 0;
  for (std::size_t i = 0; i < runs[0].first_logits.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(runs[0].first_logits[i] - runs[1].first_logits[i])));
  }
  json result{
      {"channels", settings.channels}, {"blocks", settings.blocks}, {"side", side},
      {"steps", training.steps},       {"batch", training.batch},   {"largest_difference_of_first_logits", largest}};
  for (const Run& run : runs) {
    result["runs"].push_back({{"layout", xbn::name(run.layout)},
                              {"history", to_json(run.history)},
                              {"times", {{"milliseconds_a_step", 1e3 * run.seconds / training.steps}}}});
  }
  return result;
}

}  // namespace train
