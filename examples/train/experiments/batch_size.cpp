// e. Batch size: the noise of a batch's statistics, running averages against the statistics of the whole set, and a
// batch of one.

#include <algorithm>
#include <cmath>

#include "experiments/experiment.hpp"

namespace train {
namespace {

constexpr std::int64_t width = 48;
constexpr int depth = 3;

struct MeanAndVariance {
  Values mean = Values(static_cast<std::size_t>(width));
  Values variance = Values(static_cast<std::size_t>(width));
};

MeanAndVariance statistics_of(const Values& rows) {
  xbn::Problem problem;
  problem.layout = xbn::Layout::nc;
  problem.batch = static_cast<std::int64_t>(rows.size()) / width;
  problem.channels = width;
  const xbn::BatchNorm norm(problem);

  std::vector<double> mean(static_cast<std::size_t>(width));
  std::vector<double> m2(mean.size());
  xbn::Moments moments{0, mean.data(), m2.data()};
  xbn::MomentsArgs take;
  take.x = rows.data();
  take.moments = &moments;
  norm.moments(take);

  MeanAndVariance result;
  xbn::FinaliseArgs finalise;
  finalise.moments = &moments;
  finalise.mean = result.mean.data();
  finalise.variance = result.variance.data();
  norm.finalise(finalise);
  return result;
}

/// Root of the mean square of something.
class RootMeanSquare {
 public:
  void add(double value) {
    sum_ += value * value;
    ++count_;
  }
  double value() const { return std::sqrt(sum_ / count_); }

 private:
  double sum_ = 0;
  double count_ = 0;
};

// How far batches' means are from the whole set's, in its deviations, and their variances, relative to its.
json noise(const Context& context, FullyConnected& network, std::int64_t batch) {
  const Dataset& data = context.normalised.train;
  network.forward(data.x, data.samples(), Mode::inference);
  const Dataset hidden{width, data.classes, network.hidden().front().linear->output(), data.labels};
  const MeanAndVariance whole = statistics_of(hidden.x);
  MiniBatches batches(hidden, batch, context.seed + 4);
  RootMeanSquare of_mean, of_variance;
  for (int i = 0; i < 200; ++i) {
    const MeanAndVariance part = statistics_of(batches.next().x);
    for (std::size_t c = 0; c < static_cast<std::size_t>(width); ++c) {
      const auto variance = static_cast<double>(whole.variance[c]);
      of_mean.add(static_cast<double>(part.mean[c] - whole.mean[c]) / std::sqrt(variance));
      of_variance.add(static_cast<double>(part.variance[c]) / variance - 1.0);
    }
  }
  return {{"batch", batch}, {"mean", of_mean.value()}, {"variance", of_variance.value()}};
}

// How far the running averages of all layers are from these exact ones.
double lag(FullyConnected& network, const std::vector<Values>& exact) {
  const std::vector<Values> running = network.statistics();
  RootMeanSquare difference;
  for (std::size_t layer = 0; layer < exact.size(); layer += 2) {
    for (std::size_t c = 0; c < exact[layer].size(); ++c) {
      difference.add(static_cast<double>(running[layer][c] - exact[layer][c]) /
                     std::sqrt(static_cast<double>(exact[layer + 1][c]) + 1e-5));
    }
  }
  return difference.value();
}

// Accuracies by running averages and by exact statistics, while a network trains.
json compare(const Context& context, FullyConnected& network, std::int64_t batch, int steps) {
  const Dataset& data = context.normalised.train;
  json result{{"batch", batch}};
  Training training;
  training.steps = steps;
  training.batch = batch;
  training.rate = 0.1;
  training.seed = context.seed + 1;
  training.every = std::max(1, steps / 150);
  training.observe = [&](int step) {
    const std::vector<Values> running = network.statistics();
    result["steps"].push_back(step);
    result["running"].push_back(evaluate(network, context.normalised.test).accuracy);
    network.estimate_statistics(data.x, data.samples());
    result["exact"].push_back(evaluate(network, context.normalised.test).accuracy);
    const std::vector<Values> exact = network.statistics();
    network.set_statistics(running);
    result["lag"].push_back(lag(network, exact));
  };
  train_network(network, context.normalised, training);
  return result;
}

}  // namespace

json batch_size(const Context& context) {
  const int steps = context.choose(150, 600);
  const std::vector<std::int64_t> batches =
      context.choose<std::vector<std::int64_t>>({1, 2, 8, 64}, {1, 2, 4, 8, 16, 32, 64, 128, 256});
  std::vector<json> results(batches.size());
  json noises = json::array();
  context.for_each(static_cast<std::int64_t>(batches.size()), [&](std::int64_t i) {
    const auto index = batches.size() - 1 - static_cast<std::size_t>(i);
    FullyConnected network(context.network(depth, width));
    results[index] = compare(context, network, batches[index], steps);
    if (i > 0) return;
    for (std::int64_t batch = 1; batch <= 512; batch *= 2) noises.push_back(noise(context, network, batch));
  });
  return {{"depth", depth}, {"width", width}, {"steps", steps}, {"noise", noises}, {"runs", results}};
}

}  // namespace train
