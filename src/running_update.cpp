#include "errors.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn {
namespace {

using internal::reject;
using internal::to_text;

double require_momentum(double momentum) {
  if (!(momentum >= 0 && momentum <= 1)) reject("momentum", "be from 0 to 1", to_text(momentum));
  return momentum;
}

VarianceEstimate require_estimate(VarianceEstimate estimate) {
  if (estimate != VarianceEstimate::population && estimate != VarianceEstimate::unbiased) {
    reject("estimate", "be population or unbiased", to_text(static_cast<std::int64_t>(estimate)));
  }
  return estimate;
}

}  // namespace

RunningUpdate RunningUpdate::pytorch(double momentum, VarianceEstimate estimate) {
  return {require_momentum(momentum), require_estimate(estimate)};
}

RunningUpdate RunningUpdate::onnx(double momentum, VarianceEstimate estimate) {
  return {1 - require_momentum(momentum), require_estimate(estimate)};
}

RunningUpdate RunningUpdate::cumulative_average(std::int64_t batches_before, VarianceEstimate estimate) {
  if (batches_before < 0) reject("batches_before", "be at least 0", to_text(batches_before));
  return {1 / (static_cast<double>(batches_before) + 1), require_estimate(estimate)};
}

}  // namespace xbn
