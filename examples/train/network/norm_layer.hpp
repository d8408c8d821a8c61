#pragma once

#include <map>

#include <xbn/xbn.hpp>

#include "network/layer.hpp"

namespace train {

struct NormSettings {
  std::int64_t channels = 0;
  xbn::Layout layout = xbn::Layout::nc;
  std::int64_t spatial = 1;
  xbn::Activation activation{};
  bool residual = false;  ///< a tensor is added before the activation
  double epsilon = 1e-5;
  xbn::EpsilonPlacement placement = xbn::EpsilonPlacement::inside_root;
};

/// Batch norm with the residual and the activation that follow it, in one pass, with gamma, beta and running averages.
class NormLayer : public Layer {
 public:
  explicit NormLayer(const NormSettings& settings);

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;
  void append_parameters(std::vector<Parameter*>& parameters) override;

  /// With a residual, of x's shape.
  const Values& forward(const Values& x, const Values& residual, std::int64_t batch, Mode mode);
  /// The gradient by the residual, after backward.
  const Values& residual_gradient() const { return dresidual_; }

  /// What the activation would be given for x, with the statistics of x itself. Leaves the layer as it was.
  Values normalised(const Values& x, std::int64_t batch) const;

  /// What the folded form is computed from.
  xbn::FoldedSource folded_source() const;

  /// Of the last forward.
  const Values& output() const { return y_; }

  const NormSettings& settings() const { return settings_; }
  /// As inference uses them from now on: changed where trained weights are deployed with another epsilon.
  void set_epsilon(double epsilon, xbn::EpsilonPlacement placement);
  void set_running_update(const xbn::RunningUpdate& update) { update_ = update; }

  Parameter& gamma() { return gamma_; }
  Parameter& beta() { return beta_; }
  /// Of the batch that was last trained with.
  const Values& mean() const { return mean_; }
  const Values& variance() const { return variance_; }
  Values& running_mean() { return running_mean_; }
  Values& running_variance() { return running_variance_; }

 private:
  const xbn::BatchNorm& norm_for(std::int64_t batch);
  const Values& run(const Values& x, const Values* residual, std::int64_t batch, Mode mode);

  NormSettings settings_;
  xbn::RunningUpdate update_ = xbn::RunningUpdate::pytorch(0.1);
  Parameter gamma_;
  Parameter beta_;
  Values running_mean_, running_variance_, mean_, variance_;
  std::map<std::int64_t, xbn::BatchNorm> norms_{};
  std::int64_t batch_ = 0;
  Values y_{}, dx_{}, dresidual_{};
  std::vector<std::uint8_t> mask_{};
};

}  // namespace train
