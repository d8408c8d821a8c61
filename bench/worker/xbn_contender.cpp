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
  problem.source = test_case.types.source;
  problem.destination = test_case.types.destination;
  problem.activation = test_case.activation();
  problem.residual = test_case.flags.add_relu;
  return problem;
}

xbn::Input input(const Tensor& tensor) { return {tensor.data, tensor.type}; }

xbn::Output output(const Tensor& tensor) { return {tensor.data, tensor.type}; }

}  // namespace

template <class Real>
struct XbnContender::CallsOf : Calls {
  CallsOf(const xbn::BatchNorm& batch_norm_, const Case& test_case, const Tensors& tensors, std::uint8_t* mask)
      : batch_norm(batch_norm_), backwards(test_case.backward()), trains(!test_case.flags.given_statistics) {
    const Real* const gamma = test_case.flags.gamma ? tensors.gamma.as<Real>() : nullptr;
    const Real* const beta = test_case.flags.beta ? tensors.beta.as<Real>() : nullptr;

    training.x = inference.x = input(tensors.x);
    training.y = inference.y = output(tensors.y);
    training.gamma = inference.gamma = gamma;
    training.beta = inference.beta = beta;
    training.residual = inference.residual = input(tensors.residual);
    training.mask = inference.mask = mask;
    training.mean = tensors.out_mean.as<Real>();
    training.variance = tensors.out_variance.as<Real>();
    inference.mean = tensors.mean.as<Real>();
    inference.variance = tensors.variance.as<Real>();
    if (!backwards) return;

    backward.statistics = trains ? xbn::Statistics::batch : xbn::Statistics::given;
    if (test_case.needs_x()) backward.x = input(tensors.x);
    backward.dy = input(tensors.dy);
    backward.gamma = gamma;
    backward.beta = beta;
    backward.mean = tensors.mean.as<Real>();
    backward.variance = tensors.variance.as<Real>();
    backward.mask = mask;
    backward.dx = output(tensors.dx);
    backward.d_residual = output(tensors.d_residual);
    backward.dgamma = test_case.computes_dgamma() ? tensors.dgamma.as<Real>() : nullptr;
    backward.dbeta = test_case.computes_dbeta() ? tensors.dbeta.as<Real>() : nullptr;
  }

  void forward() override {
    if (trains) {
      batch_norm.forward_training(training);
    } else {
      batch_norm.forward_inference(inference);
    }
  }

  void run() override {
    if (backwards) {
      batch_norm.backward(backward);
    } else {
      forward();
    }
  }

  const xbn::BatchNorm& batch_norm;
  bool backwards;
  bool trains;
  xbn::BasicForwardTraining<Real> training{};
  xbn::BasicForwardInference<Real> inference{};
  xbn::BasicBackward<Real> backward{};
};

XbnContender::XbnContender(const Case& test_case, const Tensors& tensors, const xbn::Options& options)
    : batch_norm_(problem_of(test_case), options) {
  if (test_case.has_mask()) mask_.resize(batch_norm_.mask_bytes());
  std::uint8_t* const mask = mask_.empty() ? nullptr : mask_.data();
  if (test_case.types.parameters() == xbn::DataType::f64) {
    calls_ = std::make_unique<CallsOf<double>>(batch_norm_, test_case, tensors, mask);
  } else {
    calls_ = std::make_unique<CallsOf<float>>(batch_norm_, test_case, tensors, mask);
  }
}

}  // namespace bench
