// c. Covariate shift: what a hidden unit is given while the layers before it learn; and inputs that change after
// training.

#include <algorithm>
#include <cmath>

#include "experiments/experiment.hpp"
#include "network/loss.hpp"

namespace train {
namespace {

constexpr std::int64_t width = 48;
constexpr int depth = 3;
constexpr double rate = 1.0;

struct Quantiles {
  double low = 0;
  double median = 0;
  double high = 0;

  double half_width() const { return (high - low) / 2; }
};

// The 15th, 50th and 85th percentile: of a normal distribution, the mean and a standard deviation to each side.
Quantiles quantiles(const Values& rows, std::int64_t unit) {
  std::vector<double> values;
  for (auto i = static_cast<std::size_t>(unit); i < rows.size(); i += width) {
    values.push_back(static_cast<double>(rows[i]));
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double part) {
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size()))];
  };
  return {at(0.15), at(0.5), at(0.85)};
}

json trace(const Context& context, bool batch_norm, int steps) {
  FullyConnectedSettings settings = context.network(depth, width);
  settings.activation = xbn::ActivationKind::sigmoid;
  settings.batch_norm = batch_norm;
  FullyConnected network(settings);
  const std::vector<std::int64_t> order = permutation(context.normalised.train.samples(), context.seed + 2);
  const Dataset probe = select(context.normalised.train, order.data(), std::min<std::int64_t>(400, order.size()));

  json result{{"batch_norm", batch_norm}};
  std::vector<Quantiles> before(static_cast<std::size_t>(width));
  double drift = 0;
  int drifts = 0;
  Training training;
  training.steps = steps;
  training.rate = rate;
  training.seed = context.seed + 1;
  training.every = steps / 40;
  training.observe = [&](int step) {
    const Values rows = network.before_activation(depth - 1, probe.x, probe.samples());
    for (std::int64_t unit = 0; unit < width; ++unit) {
      Quantiles& old = before[static_cast<std::size_t>(unit)];
      const Quantiles now = quantiles(rows, unit);
      if (old.half_width() > 0) {
        drift += std::abs(now.median - old.median) / old.half_width();
        ++drifts;
      }
      old = now;
    }
    const Quantiles& shown = before.front();
    result["steps"].push_back(step);
    result["low"].push_back(shown.low);
    result["median"].push_back(shown.median);
    result["high"].push_back(shown.high);
  };
  const History history = train_network(network, context.normalised, training);
  result["drift"] = drifts == 0 ? 0.0 : drift / drifts;
  result["accuracy"] = history.accuracy.empty() ? json() : json(history.accuracy.back());
  return result;
}

// Values from 0 to 1, the paler, brighter and noisier the larger the strength.
Dataset shifted(const Dataset& data, float largest, double strength, std::uint64_t seed) {
  Dataset result = data;
  const auto contrast = static_cast<float>(1.0 - 0.7 * strength);
  const auto brightness = static_cast<float>(0.7 * strength);
  Values noise(data.x.size());
  Random random(seed);
  draw(noise, 0.1 * strength, random);
  for (std::size_t i = 0; i < noise.size(); ++i) {
    result.x[i] = data.x[i] / largest * contrast + brightness + noise[i];
  }
  return result;
}

struct Accuracies {
  std::vector<double> without{}, running{}, re_estimated{};
};

Accuracies under_change(const Context& context, const std::vector<double>& strengths, int steps, std::uint64_t seed) {
  const float largest = *std::max_element(context.raw.train.x.begin(), context.raw.train.x.end());
  const Split data{shifted(context.raw.train, largest, 0, 0), shifted(context.raw.test, largest, 0, 0)};
  Accuracies result;
  for (const bool batch_norm : {false, true}) {
    FullyConnectedSettings settings = context.network(3, width);
    settings.batch_norm = batch_norm;
    settings.seed = seed;
    FullyConnected network(settings);
    Training training;
    training.steps = steps;
    training.optimizer = "adam";
    training.rate = 0.003;
    training.seed = seed + 1;
    train_network(network, data, training);
    const std::vector<Values> trained = network.statistics();
    for (const double strength : strengths) {
      const Dataset test = shifted(context.raw.test, largest, strength, seed + 5);
      network.set_statistics(trained);
      (batch_norm ? result.running : result.without).push_back(evaluate(network, test).accuracy);
      if (!batch_norm) continue;
      network.estimate_statistics(test.x, test.samples());
      result.re_estimated.push_back(evaluate(network, test).accuracy);
    }
  }
  return result;
}

json changed_inputs(const Context& context, int steps) {
  const std::vector<double> strengths{0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0};
  std::vector<Accuracies> repetitions(context.choose(3U, 9U));
  context.for_each(
      static_cast<std::int64_t>(repetitions.size()),
      [&](std::int64_t i) {
        repetitions[static_cast<std::size_t>(i)] =
            under_change(context, strengths, steps, context.seed + 1000 * static_cast<std::uint64_t>(i));
      },
      0.5);
  json result{{"strength", strengths}};
  for (const Accuracies& accuracies : repetitions) {
    result["without"].push_back(accuracies.without);
    result["running"].push_back(accuracies.running);
    result["re_estimated"].push_back(accuracies.re_estimated);
  }
  return result;
}

}  // namespace

json shift(const Context& context) {
  const int steps = context.choose(240, 1200);
  json result{{"depth", depth}, {"width", width}, {"rate", rate}, {"steps", steps}};
  std::vector<json> traces(2);
  context.for_each(
      2, [&](std::int64_t i) { traces[static_cast<std::size_t>(i)] = trace(context, i == 1, steps); }, 0.5);
  result["traces"] = traces;
  result["changed_inputs"] = changed_inputs(context, context.choose(150, 400));
  return result;
}

}  // namespace train
