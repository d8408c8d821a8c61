#pragma once

/// Labelled samples, and what is done to them before training.

#include <cstdint>
#include <string>
#include <vector>

namespace train {

using Values = std::vector<float>;

/// `labels.size()` samples of `features` values each.
struct Dataset {
  std::int64_t features = 0;
  int classes = 0;
  Values x{};
  std::vector<int> labels{};

  std::int64_t samples() const { return static_cast<std::int64_t>(labels.size()); }
};

struct Split {
  Dataset train{};
  Dataset test{};
};

/// A permutation of [0, count), a function of the seed.
std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed);

/// The samples of these indices, in their order.
Dataset select(const Dataset& data, const std::int64_t* indices, std::int64_t count);

/// Draws at most `most` samples, of which one in five is for the test. Throws std::invalid_argument where fewer than
/// `least` are there.
Split split(const Dataset& data, std::int64_t least, std::int64_t most, std::uint64_t seed);

/// Both parts with the mean of each feature taken off, divided by its standard deviation, as the training part has
/// them. A tenth of the mean variance is added to each variance, for features that hardly vary.
Split standardised(const Split& raw);

}  // namespace train
