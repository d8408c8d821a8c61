#pragma once

#include <functional>

#include "data/dataset.hpp"
#include "network/layer.hpp"

namespace train {

struct Training {
  int steps = 100;
  std::int64_t batch = 64;
  std::string optimizer = "gradient_descent";
  double rate = 0.1;
  std::uint64_t seed = 1;
  int every = 10;                           ///< steps between two looks at the test set
  std::function<void(int step)> observe{};  ///< called where the test set is looked at
};

/// What was seen, `every` steps each. Ends early where the loss is no longer a number.
struct History {
  std::vector<int> steps{};
  std::vector<double> loss{};      ///< mean of the mini-batches' since the look before
  std::vector<double> accuracy{};  ///< of the test set, by running averages
};

/// Trains by mini-batches, in an order that depends on the seed. Throws Interrupted where the program is told to stop.
History train_network(Layer& network, const Split& data, const Training& training);

struct Evaluation {
  double loss = 0;
  double accuracy = 0;
};

/// By running averages, in one batch.
Evaluation evaluate(Layer& network, const Dataset& data);

/// Draws mini-batches of one size without end: all samples in an order, then all in another.
class MiniBatches {
 public:
  /// Where the size is larger than the data, it is the data's.
  MiniBatches(const Dataset& data, std::int64_t size, std::uint64_t seed);

  const Dataset& next();

 private:
  const Dataset& data_;
  std::int64_t size_;
  Random seeds_;
  std::vector<std::int64_t> order_{};
  std::int64_t position_ = 0;
  Dataset batch_{};
};

}  // namespace train
