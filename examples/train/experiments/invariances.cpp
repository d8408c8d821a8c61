// d. What batch norm makes no matter: a bias before it, and the scale of the weights before it; and gamma and beta that
// make it do nothing.

#include <algorithm>
#include <cmath>

#include "experiments/experiment.hpp"
#include "network/loss.hpp"

namespace train {
namespace {

constexpr std::int64_t width = 48;
constexpr int depth = 3;

double largest_magnitude(const Values& values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

FullyConnectedSettings settings_of(const Context& context, bool batch_norm, double epsilon) {
  FullyConnectedSettings settings = context.network(depth, width);
  settings.activation = xbn::ActivationKind::sigmoid;
  settings.batch_norm = batch_norm;
  settings.bias_before_norm = batch_norm;
  settings.epsilon = epsilon;
  return settings;
}

Training training_of(const Context& context) {
  Training training;
  training.steps = context.choose(120, 400);
  training.rate = 1.0;
  training.seed = context.seed + 1;
  return training;
}

// The largest gradient of a hidden bias beside the largest of a weight of the same layer, over training.
json bias_gradients(const Context& context, FullyConnected& network) {
  json result{{"batch_norm", network.settings().batch_norm}};
  Training training = training_of(context);
  training.observe = [&](int step) {
    double largest = 0;
    for (const FullyConnected::Hidden& layer : network.hidden()) {
      largest = std::max(largest, largest_magnitude(layer.linear->bias()->gradient) /
                                      largest_magnitude(layer.linear->weights().gradient));
    }
    result["steps"].push_back(step);
    result["ratio"].push_back(largest);
  };
  train_network(network, context.normalised, training);
  return result;
}

struct LossAndGradient {
  double loss = 0;
  double gradient = 0;  ///< the largest, of the first layer's weights
};

LossAndGradient at_scale(FullyConnected& network, const Dataset& batch, float scale) {
  std::vector<Values> saved;
  for (const FullyConnected::Hidden& layer : network.hidden()) {
    Values& weights = layer.linear->weights().value;
    saved.push_back(weights);
    for (float& weight : weights) weight *= scale;
  }
  Values dlogits;
  const Values& logits = network.forward(batch.x, batch.samples(), Mode::training);
  LossAndGradient result;
  result.loss = softmax_cross_entropy(logits, batch.labels, &dlogits);
  network.backward(batch.x, dlogits);
  result.gradient = largest_magnitude(network.hidden().front().linear->weights().gradient);
  for (std::size_t i = 0; i < saved.size(); ++i) network.hidden()[i].linear->weights().value = saved[i];
  return result;
}

json scales(const Context& context, FullyConnected& network) {
  const Dataset batch = MiniBatches(context.normalised.train, 256, context.seed + 3).next();
  const LossAndGradient unscaled = at_scale(network, batch, 1.0F);
  json result{
      {"batch_norm", network.settings().batch_norm}, {"epsilon", network.settings().epsilon}, {"loss", unscaled.loss}};
  for (int power = -10; power <= 10; power += 2) {
    const float scale = std::ldexp(1.0F, power);
    const LossAndGradient scaled = at_scale(network, batch, scale);
    result["scale"].push_back(scale);
    result["losses"].push_back(scaled.loss);
    result["change"].push_back(std::abs(scaled.loss - unscaled.loss) / unscaled.loss);
    result["gradient_times_scale"].push_back(scaled.gradient * static_cast<double>(scale) / unscaled.gradient);
  }
  return result;
}

// A layer whose gamma and beta are what it took away, on what the trained network's first layer puts out.
json identity(const Context& context, FullyConnected& network) {
  const Dataset batch = MiniBatches(context.normalised.train, 256, context.seed + 3).next();
  network.forward(batch.x, batch.samples(), Mode::training);
  const Values raw = network.hidden().front().linear->output();
  NormSettings settings;
  settings.channels = width;
  NormLayer norm(settings);
  const Values normalised = norm.forward(raw, batch.samples(), Mode::training);
  for (std::size_t c = 0; c < static_cast<std::size_t>(width); ++c) {
    const double variance = static_cast<double>(norm.variance()[c]);
    norm.gamma().value[c] = static_cast<float>(std::sqrt(variance + settings.epsilon));
    norm.beta().value[c] = norm.mean()[c];
  }
  const Values restored = norm.forward(raw, batch.samples(), Mode::training);
  Values difference(raw.size());
  std::transform(raw.begin(), raw.end(), restored.begin(), difference.begin(), std::minus<>());
  json result{{"largest_value", largest_magnitude(raw)}, {"largest_difference", largest_magnitude(difference)}};
  for (std::size_t i = 0; i < raw.size(); i += 31) {
    result["raw"].push_back(raw[i]);
    result["normalised"].push_back(normalised[i]);
    result["restored"].push_back(restored[i]);
  }
  return result;
}

}  // namespace

json invariances(const Context& context) {
  std::vector<json> gradients(2);
  std::vector<json> losses(3);
  json restored;
  context.for_each(3, [&](std::int64_t i) {
    // Without batch norm; with it; with it and an epsilon of 0.
    const auto index = static_cast<std::size_t>(i);
    FullyConnected network(settings_of(context, i > 0, i == 2 ? 0.0 : 1e-5));
    const json gradient = bias_gradients(context, network);
    if (i < 2) gradients[index] = gradient;
    losses[index] = scales(context, network);
    if (i == 1) restored = identity(context, network);
  });
  return {{"depth", depth}, {"width", width}, {"bias_gradient", gradients}, {"scaled", losses}, {"identity", restored}};
}

}  // namespace train
