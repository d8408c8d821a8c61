#include "data/dataset.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>

#include <xbn/xbn.hpp>

namespace train {
namespace {

xbn::BatchNorm norm_of(const Dataset& data, double epsilon) {
  xbn::Problem problem;
  problem.layout = xbn::Layout::nc;
  problem.batch = data.samples();
  problem.channels = data.features;
  problem.epsilon = epsilon;
  return xbn::BatchNorm(problem);
}

}  // namespace

std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::mt19937_64 generator(seed);
  std::shuffle(order.begin(), order.end(), generator);
  return order;
}

Dataset select(const Dataset& data, const std::int64_t* indices, std::int64_t count) {
  Dataset chosen{data.features, data.classes, {}, {}};
  chosen.x.reserve(static_cast<std::size_t>(count * data.features));
  chosen.labels.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = data.x.begin() + indices[i] * data.features;
    chosen.x.insert(chosen.x.end(), row, row + data.features);
    chosen.labels.push_back(data.labels[static_cast<std::size_t>(indices[i])]);
  }
  return chosen;
}

Split split(const Dataset& data, std::int64_t least, std::int64_t most, std::uint64_t seed) {
  if (data.samples() < least) {
    throw std::invalid_argument("data: must have at least " + std::to_string(least) + " samples; has " +
                                std::to_string(data.samples()));
  }
  const std::vector<std::int64_t> order = permutation(data.samples(), seed);
  const std::int64_t samples = std::min(data.samples(), most);
  const std::int64_t test = samples / 5;
  return {select(data, order.data() + test, samples - test), select(data, order.data(), test)};
}

Split standardised(const Split& raw) {
  Split result = raw;
  Values mean(static_cast<std::size_t>(raw.train.features));
  Values variance(mean.size());

  xbn::ForwardTraining measure;
  measure.x = raw.train.x.data();
  measure.y = result.train.x.data();
  measure.mean = mean.data();
  measure.variance = variance.data();
  norm_of(raw.train, 0).forward_training(measure);

  // A pixel that hardly ever changes in training must not be a huge number where it does in the test.
  const double mean_variance =
      std::accumulate(variance.begin(), variance.end(), 0.0) / static_cast<double>(variance.size());
  const double epsilon = mean_variance > 0 ? 0.1 * mean_variance : 1.0;
  const auto apply = [&](const Dataset& from, Dataset& to) {
    xbn::ForwardInference args;
    args.x = from.x.data();
    args.y = to.x.data();
    args.mean = mean.data();
    args.variance = variance.data();
    norm_of(from, epsilon).forward_inference(args);
  };
  apply(raw.train, result.train);
  apply(raw.test, result.test);
  return result;
}

}  // namespace train
