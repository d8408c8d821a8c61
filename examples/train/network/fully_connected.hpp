#pragma once

#include "network/linear.hpp"
#include "network/norm_layer.hpp"
#include "network/sequential.hpp"

namespace train {

struct FullyConnectedSettings {
  std::int64_t inputs = 0;
  std::vector<std::int64_t> widths{};  ///< of the hidden layers
  int classes = 0;
  xbn::ActivationKind activation = xbn::ActivationKind::relu;
  bool batch_norm = true;         ///< else a bias
  bool bias_before_norm = false;  ///< only to show that its gradient is zero
  double epsilon = 1e-5;
  xbn::EpsilonPlacement placement = xbn::EpsilonPlacement::inside_root;
  std::uint64_t seed = 1;
};

/// Hidden layers of linear, batch norm and activation, and a last linear layer with a bias.
class FullyConnected : public Sequential {
 public:
  struct Hidden {
    Linear* linear = nullptr;
    NormLayer* norm = nullptr;  ///< null without batch norm
  };

  explicit FullyConnected(const FullyConnectedSettings& settings);

  const std::vector<Hidden>& hidden() const { return hidden_; }
  const Linear& last() const { return *last_; }
  const FullyConnectedSettings& settings() const { return settings_; }

  /// What the activation of a hidden layer is given for x, normalised with the statistics of x.
  Values before_activation(std::size_t layer, const Values& x, std::int64_t batch);

  /// The running averages of all layers, and back.
  std::vector<Values> statistics() const;
  void set_statistics(const std::vector<Values>& statistics);

  /// Makes the running averages the exact statistics of x, one layer after the other.
  void estimate_statistics(const Values& x, std::int64_t batch);

 private:
  FullyConnectedSettings settings_;
  std::vector<Hidden> hidden_{};
  Linear* last_ = nullptr;
};

}  // namespace train
