#include "calls.hpp"

#include <limits>
#include <optional>

namespace xbn::test {
namespace {

Values unset(std::int64_t channels) { return Values(channels, std::numeric_limits<float>::quiet_NaN()); }

/// The tensor that a call writes: a buffer of its own, or one of its sources.
class Result {
 public:
  Result(const BatchNorm& object, const Placement& placement, TensorBuffer* x, TensorBuffer* dy)
      : owns_padding_(placement.owns_padding) {
    switch (placement.destination) {
      case Destination::separate:
        own_.emplace(object.problem().layout, shape_of(object), placement.result);
        buffer_ = &*own_;
        break;
      case Destination::x:
        buffer_ = x;
        break;
      case Destination::dy:
        buffer_ = dy;
        break;
    }
  }

  Output output() { return buffer_->output(owns_padding_); }

  Values values() const {
    EXPECT_TRUE(buffer_->surroundings_are_intact(owns_padding_));
    return buffer_->values();
  }

 private:
  bool owns_padding_;
  std::optional<TensorBuffer> own_;
  TensorBuffer* buffer_ = nullptr;
};

}  // namespace

const float* data_or_null(const Values& values) { return values.empty() ? nullptr : values.data(); }

Problem problem_of(Layout layout, const Shape& shape, const Epsilon& epsilon) {
  return {layout, shape.batch, shape.channels, shape.spatial, epsilon.value, epsilon.placement};
}

Shape shape_of(const BatchNorm& object) {
  return {object.problem().batch, object.problem().channels, object.problem().spatial};
}

Trained train(const BatchNorm& object, const Values& x, const Parameters& parameters, const Placement& placement,
              const RunningStatistics& running) {
  const Problem& problem = object.problem();
  TensorBuffer source(problem.layout, shape_of(object), placement.x, x);
  Result result(object, placement, &source, nullptr);
  Trained trained{{}, unset(problem.channels), unset(problem.channels)};
  ForwardTraining args;
  args.x = source.input();
  args.y = result.output();
  args.gamma = data_or_null(parameters.gamma);
  args.beta = data_or_null(parameters.beta);
  args.mean = trained.mean.data();
  args.variance = trained.variance.data();
  args.running = running;
  object.forward_training(args);
  trained.y = result.values();
  return trained;
}

Values infer(const BatchNorm& object, const Values& x, const Parameters& parameters, const Values& mean,
             const Values& variance, const Placement& placement) {
  TensorBuffer source(object.problem().layout, shape_of(object), placement.x, x);
  Result result(object, placement, &source, nullptr);
  ForwardInference args;
  args.x = source.input();
  args.y = result.output();
  args.gamma = data_or_null(parameters.gamma);
  args.beta = data_or_null(parameters.beta);
  args.mean = mean.data();
  args.variance = variance.data();
  object.forward_inference(args);
  return result.values();
}

Values apply_folded(const BatchNorm& object, const Values& x, const Values& mean, const Values& scale,
                    const Values& shift, const Placement& placement) {
  TensorBuffer source(object.problem().layout, shape_of(object), placement.x, x);
  Result result(object, placement, &source, nullptr);
  object.forward_folded({source.input(), result.output(), data_or_null(mean), scale.data(), shift.data()});
  return result.values();
}

Gradients differentiate(const BatchNorm& object, const BackwardInputs& inputs, const Placement& placement,
                        const Wanted& wanted) {
  const Problem& problem = object.problem();
  std::optional<TensorBuffer> x;
  if (!inputs.x.empty()) x.emplace(problem.layout, shape_of(object), placement.x, inputs.x);
  TensorBuffer dy(problem.layout, shape_of(object), placement.dy, inputs.dy);
  Result dx(object, placement, x ? &*x : nullptr, &dy);
  Gradients gradients;
  Backward args;
  args.statistics = inputs.statistics;
  if (x) args.x = x->input();
  args.dy = dy.input();
  args.gamma = data_or_null(inputs.gamma);
  args.mean = data_or_null(inputs.mean);
  args.variance = inputs.variance.data();
  if (wanted.dx) args.dx = dx.output();
  if (wanted.dgamma) {
    gradients.dgamma = unset(problem.channels);
    args.dgamma = gradients.dgamma.data();
  }
  if (wanted.dbeta) {
    gradients.dbeta = unset(problem.channels);
    args.dbeta = gradients.dbeta.data();
  }
  object.backward(args);
  if (wanted.dx) gradients.dx = dx.values();
  return gradients;
}

}  // namespace xbn::test
