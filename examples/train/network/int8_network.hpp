#pragma once

#include <map>

#include "data/dataset.hpp"
#include "network/fully_connected.hpp"
#include "network/narrow_product.hpp"

namespace train {

/// A trained ReLU network for deployment in 8-bit integers. Values between layers are u8, weights s8, products exact;
/// batch norm, ReLU and the way back to 8 bits are one call.
class Int8Network {
 public:
  /// How much an integer stands for is taken from what the network does with the samples. Throws std::invalid_argument
  /// where the activation is not ReLU: another one cannot be scaled from outside.
  Int8Network(FullyConnected& trained, const Dataset& samples);

  /// The logits of a batch.
  const Values& forward(const Values& x, std::int64_t batch);

 private:
  /// y = x * scale + shift, of what the product gives.
  struct Stage {
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
    std::vector<std::int8_t> weights{};
    Values scale{};
    Values shift{};
  };

  /// What depends on the size of a batch.
  struct ForBatch {
    std::vector<NarrowProduct> products{};
    std::vector<xbn::BatchNorm> norms{};
    std::vector<xbn::BatchNorm> quantizers{};  ///< one, of the inputs
    std::vector<std::int8_t> inputs{};
    Values sums{};
    std::vector<std::vector<std::uint8_t>> activations{};
    Values logits{};
  };

  void add_stage(const Linear& linear, float input_step);
  ForBatch make(std::int64_t batch) const;

  std::vector<Stage> stages_{};
  Values input_scale_{};
  Values input_shift_{};
  std::map<std::int64_t, ForBatch> for_batch_{};
};

}  // namespace train
