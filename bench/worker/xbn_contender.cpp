#include "xbn_contender.hpp"

namespace bench {
namespace {

xbn::Problem problem_of(const Case& test_case) {
  const Geometry geometry = geometry_of(test_case);
  xbn::Problem problem;
  problem.layout = geometry.layout;
  problem.batch = geometry.batch;
  problem.channels = geometry.channels;
  problem.spatial = geometry.spatial;
  problem.epsilon = test_case.shape.epsilon;
  return problem;
}

}  // namespace

XbnContender::XbnContender(const Case& test_case, const Tensors& tensors)
    : batch_norm_(problem_of(test_case)), case_(test_case) {
  const float* const gamma = test_case.flags.gamma ? tensors.gamma : nullptr;
  const float* const beta = test_case.flags.beta ? tensors.beta : nullptr;

  training_.x = tensors.x;
  training_.y = tensors.out;
  training_.gamma = gamma;
  training_.beta = beta;
  training_.mean = tensors.out_mean;
  training_.variance = tensors.out_variance;

  inference_.x = tensors.x;
  inference_.y = tensors.out;
  inference_.gamma = gamma;
  inference_.beta = beta;
  inference_.mean = tensors.mean;
  inference_.variance = tensors.variance;

  backward_.statistics = test_case.flags.given_statistics ? xbn::Statistics::given : xbn::Statistics::batch;
  backward_.x = test_case.needs_x() ? tensors.x : nullptr;
  backward_.dy = tensors.dy;
  backward_.gamma = gamma;
  backward_.mean = tensors.mean;
  backward_.variance = tensors.variance;
  backward_.dx = tensors.out;
  backward_.dgamma = test_case.computes_dgamma() ? tensors.dgamma : nullptr;
  backward_.dbeta = test_case.computes_dbeta() ? tensors.dbeta : nullptr;
}

void XbnContender::run() {
  if (case_.backward()) {
    batch_norm_.backward(backward_);
  } else if (case_.computes_statistics()) {
    batch_norm_.forward_training(training_);
  } else {
    batch_norm_.forward_inference(inference_);
  }
}

}  // namespace bench
