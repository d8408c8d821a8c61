#pragma once

#include <xbn/tensor.hpp>

#include "network/layer.hpp"

namespace train {

/// Images of height x width positions with some channels, in layout ncx or nxc.
struct ImageShape {
  xbn::Layout layout = xbn::Layout::ncx;
  std::int64_t channels = 1;
  std::int64_t height = 0;
  std::int64_t width = 0;

  std::int64_t positions() const { return height * width; }
  std::int64_t elements() const { return channels * positions(); }
};

/// Convolution by 3 x 3, without bias, to images of the same height and width: zeros are put around. A product of
/// matrices, of the weights and of the neighbourhoods of all positions.
class Convolution : public Layer {
 public:
  /// The same random numbers make the same convolution in either layout.
  Convolution(const ImageShape& input, std::int64_t output_channels, Random& random);

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;
  void append_parameters(std::vector<Parameter*>& parameters) override;

  /// output channels x neighbourhood, in the order of the layout: channels before positions in ncx, after them in nxc.
  Parameter& weights() { return weights_; }
  ImageShape output_shape() const;

 private:
  ImageShape input_;
  std::int64_t outputs_;
  Parameter weights_;
  Values neighbourhoods_{}, y_{}, dneighbourhoods_{}, dx_{};
};

/// The mean of all positions of each channel.
class AveragePool : public Layer {
 public:
  explicit AveragePool(const ImageShape& input) : input_(input) {}

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;

 private:
  ImageShape input_;
  Values y_{}, dx_{};
};

}  // namespace train
