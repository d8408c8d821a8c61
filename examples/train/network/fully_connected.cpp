#include "network/fully_connected.hpp"

#include <cmath>

#include "network/activation_layer.hpp"

namespace train {
namespace {

// Of He for ReLU and of Glorot for sigmoid, so that networks without batch norm begin as well as they can.
double deviation(xbn::ActivationKind activation, std::int64_t inputs, std::int64_t outputs) {
  return activation == xbn::ActivationKind::relu ? std::sqrt(2.0 / static_cast<double>(inputs))
                                                 : std::sqrt(2.0 / static_cast<double>(inputs + outputs));
}

}  // namespace

FullyConnected::FullyConnected(const FullyConnectedSettings& settings) : settings_(settings) {
  Random random(settings.seed);
  std::int64_t inputs = settings.inputs;
  for (const std::int64_t width : settings.widths) {
    Hidden layer;
    layer.linear = &add<Linear>(inputs, width, !settings.batch_norm || settings.bias_before_norm,
                                deviation(settings.activation, inputs, width), random);
    if (settings.batch_norm) {
      NormSettings norm;
      norm.channels = width;
      norm.activation.kind = settings.activation;
      norm.epsilon = settings.epsilon;
      norm.placement = settings.placement;
      layer.norm = &add<NormLayer>(norm);
    } else {
      add<ActivationLayer>(xbn::Activation{settings.activation});
    }
    hidden_.push_back(layer);
    inputs = width;
  }
  last_ = &add<Linear>(inputs, std::int64_t{settings.classes}, true,
                       deviation(xbn::ActivationKind::none, inputs, settings.classes), random);
}

Values FullyConnected::before_activation(std::size_t layer, const Values& x, std::int64_t batch) {
  // Running averages are of the mini-batches: this look at the network must not enter them.
  const std::vector<Values> saved = statistics();
  forward(x, batch, Mode::training);
  set_statistics(saved);
  const Hidden& wanted = hidden_[layer];
  return wanted.norm == nullptr ? wanted.linear->output() : wanted.norm->normalised(wanted.linear->output(), batch);
}

std::vector<Values> FullyConnected::statistics() const {
  std::vector<Values> all;
  for (const Hidden& layer : hidden_) {
    if (layer.norm == nullptr) continue;
    all.push_back(layer.norm->running_mean());
    all.push_back(layer.norm->running_variance());
  }
  return all;
}

void FullyConnected::set_statistics(const std::vector<Values>& statistics) {
  auto next = statistics.begin();
  for (const Hidden& layer : hidden_) {
    if (layer.norm == nullptr) continue;
    layer.norm->running_mean() = *next++;
    layer.norm->running_variance() = *next++;
  }
}

void FullyConnected::estimate_statistics(const Values& x, std::int64_t batch) {
  const auto set_update = [&](const xbn::RunningUpdate& update) {
    for (const Hidden& layer : hidden_) {
      if (layer.norm != nullptr) layer.norm->set_running_update(update);
    }
  };
  set_update(xbn::RunningUpdate::cumulative_average(0));
  forward(x, batch, Mode::training);
  set_update(xbn::RunningUpdate::pytorch(0.1));
}

}  // namespace train
