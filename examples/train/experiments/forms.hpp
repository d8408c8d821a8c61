#pragma once

#include "experiments/experiment.hpp"

namespace train {

/// A trained network in one form for deployment.
struct Form {
  std::string name;
  std::function<const Values&(const Values& x, std::int64_t batch)> logits{};  ///< of a batch
  std::string left_out{};  ///< why there are none; empty where there are
};

/// Forms in types narrower than float. `trained` must outlive them; the samples say how large values get.
std::vector<Form> narrow_forms(FullyConnected& trained, const Dataset& samples);

}  // namespace train
