// f. Epsilon inside the root or outside of it: what either does to channels that hardly vary, and what becomes of a
// network that is deployed with the other one.

#include <algorithm>
#include <array>
#include <cmath>

#include "experiments/experiment.hpp"
#include "network/loss.hpp"

namespace train {
namespace {

using xbn::EpsilonPlacement;

constexpr std::array<EpsilonPlacement, 2> placements{EpsilonPlacement::inside_root, EpsilonPlacement::outside_root};

const char* name(EpsilonPlacement placement) {
  return placement == EpsilonPlacement::inside_root ? "inside" : "outside";
}

// y / x for channels of two values, sigma and -sigma.
json gains(EpsilonPlacement placement, double epsilon) {
  json result{{"placement", name(placement)}, {"epsilon", epsilon}};
  NormSettings settings;
  settings.epsilon = epsilon;
  settings.placement = placement;
  Values x;
  for (double sigma = 1e-6; sigma < 20; sigma *= std::sqrt(std::sqrt(10.0))) x.push_back(static_cast<float>(sigma));
  settings.channels = static_cast<std::int64_t>(x.size());
  for (std::size_t c = 0; c < static_cast<std::size_t>(settings.channels); ++c) x.push_back(-x[c]);
  const Values y = NormLayer(settings).forward(x, 2, Mode::training);
  for (std::size_t c = 0; c < static_cast<std::size_t>(settings.channels); ++c) {
    result["sigma"].push_back(x[c]);
    result["gain"].push_back(static_cast<double>(y[c]) / static_cast<double>(x[c]));
  }
  return result;
}

double divisor(double variance, EpsilonPlacement placement, double epsilon) {
  return placement == EpsilonPlacement::inside_root ? std::sqrt(variance + epsilon) : std::sqrt(variance) + epsilon;
}

// Makes gamma what it must be for the layer, which has the other convention by now, to do what it did.
void translate_gamma(NormLayer& norm, EpsilonPlacement trained_with, double epsilon) {
  for (std::size_t c = 0; c < norm.gamma().value.size(); ++c) {
    const auto variance = static_cast<double>(norm.running_variance()[c]);
    norm.gamma().value[c] *= static_cast<float>(divisor(variance, norm.settings().placement, epsilon) /
                                                divisor(variance, trained_with, epsilon));
  }
}

// A network trained with one convention, tested with both.
json deployed(const Context& context, EpsilonPlacement placement, double epsilon, int steps) {
  FullyConnectedSettings settings = context.network(3, 48);
  settings.epsilon = epsilon;
  settings.placement = placement;
  FullyConnected network(settings);
  Training training;
  training.steps = steps;
  training.rate = 0.1;
  training.seed = context.seed + 1;
  train_network(network, context.normalised, training);

  const Dataset& test = context.normalised.test;
  const Values own = network.forward(test.x, test.samples(), Mode::inference);
  for (const FullyConnected::Hidden& layer : network.hidden()) {
    layer.norm->set_epsilon(epsilon, placement == placements[0] ? placements[1] : placements[0]);
  }
  const Values other = network.forward(test.x, test.samples(), Mode::inference);
  for (const FullyConnected::Hidden& layer : network.hidden()) translate_gamma(*layer.norm, placement, epsilon);
  const Values translated = network.forward(test.x, test.samples(), Mode::inference);
  const std::vector<int> by_own = predictions(own, test.labels.size());
  const std::vector<int> by_other = predictions(other, test.labels.size());
  return {{"placement", name(placement)},
          {"epsilon", epsilon},
          {"accuracy", accuracy(by_own, test.labels)},
          {"accuracy_with_other", accuracy(by_other, test.labels)},
          {"predictions_changed", 1.0 - accuracy(by_own, by_other)},
          {"difference", relative_difference(other, own)},
          {"difference_translated", relative_difference(translated, own)}};
}

}  // namespace

json epsilon(const Context& context) {
  const int steps = context.choose(120, 400);
  const std::vector<double> epsilons = context.choose<std::vector<double>>(
      {1e-8, 1e-5, 1e-2, 1.0, 10.0}, {1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0});
  json result{{"steps", steps}};
  for (const double each : {1e-5, 1e-3}) {
    for (const EpsilonPlacement placement : placements) result["gains"].push_back(gains(placement, each));
  }
  std::vector<json> runs(2 * epsilons.size());
  context.for_each(static_cast<std::int64_t>(runs.size()), [&](std::int64_t i) {
    const auto index = static_cast<std::size_t>(i);
    runs[index] = deployed(context, placements[index / epsilons.size()], epsilons[index % epsilons.size()], steps);
  });
  result["runs"] = runs;
  return result;
}

}  // namespace train
