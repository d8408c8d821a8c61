#pragma once

#include "network/fully_connected.hpp"

namespace train {

/// A trained network for deployment: batch norm is folded into the weights, so that each hidden layer is a product, a
/// bias and an activation.
class FoldedNetwork {
 public:
  explicit FoldedNetwork(const FullyConnected& trained);

  /// The logits of a batch.
  const Values& forward(const Values& x, std::int64_t batch);

 private:
  struct Stage {
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
    Values weights{};
    Values bias{};
    xbn::Activation activation{};
    Values y{};
  };

  std::vector<Stage> stages_{};
};

}  // namespace train
