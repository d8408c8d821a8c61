#pragma once

#include "network/convolution.hpp"
#include "network/norm_layer.hpp"
#include "network/sequential.hpp"

namespace train {

/// ResNet's block: convolution, batch norm + ReLU, convolution, batch norm + input + ReLU.
class ResidualBlock : public Layer {
 public:
  ResidualBlock(const ImageShape& shape, Random& random);

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;
  void append_parameters(std::vector<Parameter*>& parameters) override;

 private:
  Convolution first_;
  NormLayer first_norm_;
  Convolution second_;
  NormLayer second_norm_;
  const Values* convolved_ = nullptr;
  const Values* activated_ = nullptr;
  const Values* convolved_again_ = nullptr;
  Values dx_{};
};

struct ResidualNetworkSettings {
  ImageShape image{};
  std::int64_t channels = 16;
  int blocks = 2;
  int classes = 10;
  std::uint64_t seed = 1;
};

/// Convolution, batch norm + ReLU, blocks, the mean of all positions, a linear layer. The same seed makes the same
/// network in either layout.
class ResidualNetwork : public Sequential {
 public:
  explicit ResidualNetwork(const ResidualNetworkSettings& settings);
};

}  // namespace train
