#pragma once

#include <map>

#include "network/fully_connected.hpp"
#include "network/narrow_product.hpp"

namespace train {

/// A trained network for deployment in bfloat16: weights and everything between the layers have half the bytes; batch
/// norm with its activation reads and writes them in one call.
class Bf16Network {
 public:
  /// `trained` must outlive it.
  explicit Bf16Network(const FullyConnected& trained);

  /// The logits of a batch.
  const Values& forward(const Values& x, std::int64_t batch);

 private:
  using Narrow = std::vector<xbn::bfloat16>;

  /// What depends on the size of a batch.
  struct ForBatch {
    std::vector<NarrowProduct> products{};
    std::vector<xbn::BatchNorm> norms{};
    std::vector<Narrow> activations{};
    Values logits{};
  };

  ForBatch make(std::int64_t batch) const;

  const FullyConnected& trained_;
  std::vector<Narrow> weights_{};
  std::map<std::int64_t, ForBatch> for_batch_{};
};

}  // namespace train
