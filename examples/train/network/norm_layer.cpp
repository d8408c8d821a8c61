#include "network/norm_layer.hpp"

namespace train {
namespace {

xbn::BatchNorm make_norm(const NormSettings& settings, std::int64_t batch) {
  xbn::Problem problem;
  problem.layout = settings.layout;
  problem.batch = batch;
  problem.channels = settings.channels;
  problem.spatial = settings.spatial;
  problem.epsilon = settings.epsilon;
  problem.epsilon_placement = settings.placement;
  problem.activation = settings.activation;
  problem.residual = settings.residual;
  xbn::Options options;
  // The networks are small; it is whole trainings that run side by side.
  options.executor = &xbn::serial_executor();
  return xbn::BatchNorm(problem, options);
}

}  // namespace

NormLayer::NormLayer(const NormSettings& settings)
    : settings_(settings),
      gamma_(static_cast<std::size_t>(settings.channels), 1.0F),
      beta_(static_cast<std::size_t>(settings.channels), 0.0F),
      running_mean_(static_cast<std::size_t>(settings.channels), 0.0F),
      running_variance_(static_cast<std::size_t>(settings.channels), 1.0F),
      mean_(running_mean_),
      variance_(running_variance_) {}

const xbn::BatchNorm& NormLayer::norm_for(std::int64_t batch) {
  const auto known = norms_.find(batch);
  if (known != norms_.end()) return known->second;
  return norms_.emplace(batch, make_norm(settings_, batch)).first->second;
}

const Values& NormLayer::forward(const Values& x, std::int64_t batch, Mode mode) {
  return run(x, nullptr, batch, mode);
}

const Values& NormLayer::forward(const Values& x, const Values& residual, std::int64_t batch, Mode mode) {
  return run(x, &residual, batch, mode);
}

const Values& NormLayer::run(const Values& x, const Values* residual, std::int64_t batch, Mode mode) {
  y_.resize(x.size());
  const xbn::BatchNorm& norm = norm_for(batch);
  const auto call = [&](auto& args) {
    args.x = x.data();
    args.y = y_.data();
    args.gamma = gamma_.value.data();
    args.beta = beta_.value.data();
    if (residual != nullptr) args.residual = residual->data();
  };
  if (mode == Mode::training) {
    batch_ = batch;
    xbn::ForwardTraining args;
    call(args);
    args.mean = mean_.data();
    args.variance = variance_.data();
    args.running.mean = running_mean_.data();
    args.running.variance = running_variance_.data();
    args.running.update = update_;
    // A bit an element spares backward the residual, and computing again what ReLU was given.
    if (settings_.activation.kind == xbn::ActivationKind::relu) {
      mask_.resize(norm.mask_bytes());
      args.mask = mask_.data();
    }
    norm.forward_training(args);
  } else {
    xbn::ForwardInference args;
    call(args);
    args.mean = running_mean_.data();
    args.variance = running_variance_.data();
    norm.forward_inference(args);
  }
  return y_;
}

const Values& NormLayer::backward(const Values& x, const Values& dy) {
  dx_.resize(x.size());
  xbn::Backward args;
  args.x = x.data();
  args.dy = dy.data();
  args.dx = dx_.data();
  args.gamma = gamma_.value.data();
  args.beta = beta_.value.data();
  args.mean = mean_.data();
  args.variance = variance_.data();
  args.dgamma = gamma_.gradient.data();
  args.dbeta = beta_.gradient.data();
  if (settings_.activation.kind == xbn::ActivationKind::relu) args.mask = mask_.data();
  if (settings_.residual) {
    dresidual_.resize(x.size());
    args.d_residual = dresidual_.data();
  }
  norm_for(batch_).backward(args);
  return dx_;
}

void NormLayer::append_parameters(std::vector<Parameter*>& parameters) {
  parameters.push_back(&gamma_);
  parameters.push_back(&beta_);
}

Values NormLayer::normalised(const Values& x, std::int64_t batch) const {
  NormSettings settings = settings_;
  settings.activation = {};
  settings.residual = false;
  Values y(x.size());
  Values mean(gamma_.value.size());
  Values variance(gamma_.value.size());
  xbn::ForwardTraining args;
  args.x = x.data();
  args.y = y.data();
  args.gamma = gamma_.value.data();
  args.beta = beta_.value.data();
  args.mean = mean.data();
  args.variance = variance.data();
  make_norm(settings, batch).forward_training(args);
  return y;
}

xbn::FoldedSource NormLayer::folded_source() const {
  xbn::FoldedSource source;
  source.channels = settings_.channels;
  source.gamma = gamma_.value.data();
  source.beta = beta_.value.data();
  source.mean = running_mean_.data();
  source.variance = running_variance_.data();
  source.epsilon = settings_.epsilon;
  source.epsilon_placement = settings_.placement;
  return source;
}

void NormLayer::set_epsilon(double epsilon, xbn::EpsilonPlacement placement) {
  settings_.epsilon = epsilon;
  settings_.placement = placement;
  norms_.clear();
}

}  // namespace train
