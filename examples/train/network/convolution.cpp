#include "network/convolution.hpp"

#include <algorithm>
#include <cmath>

#include "network/blas.hpp"
#include "network/linear.hpp"
#include "network/neighbourhoods.hpp"

namespace train {

Convolution::Convolution(const ImageShape& input, std::int64_t output_channels, Random& random)
    : input_(input),
      outputs_(output_channels),
      weights_(static_cast<std::size_t>(output_channels * input.channels * 9)) {
  Values planar(weights_.value.size());
  draw(planar, std::sqrt(2.0 / static_cast<double>(9 * input.channels)), random);
  if (input.layout == xbn::Layout::ncx) {
    weights_.value = planar;
    return;
  }
  auto next = weights_.value.begin();
  for (std::int64_t o = 0; o < outputs_; ++o) {
    for (std::int64_t k = 0; k < 9; ++k) {
      for (std::int64_t c = 0; c < input.channels; ++c) {
        *next++ = planar[static_cast<std::size_t>((o * input.channels + c) * 9 + k)];
      }
    }
  }
}

ImageShape Convolution::output_shape() const {
  ImageShape shape = input_;
  shape.channels = outputs_;
  return shape;
}

const Values& Convolution::forward(const Values& x, std::int64_t batch, Mode) {
  const std::int64_t depth = 9 * input_.channels;
  const std::int64_t positions = input_.positions();
  neighbourhoods_.resize(x.size() * 9, 0.0F);
  for (std::int64_t n = 0; n < batch; ++n) {
    gather_neighbourhoods(input_, x.data() + n * input_.elements(), neighbourhoods_.data() + n * depth * positions);
  }
  y_.resize(static_cast<std::size_t>(batch * outputs_ * positions));
  if (input_.layout == xbn::Layout::nxc) {
    multiply(Transpose::no, Transpose::yes, batch * positions, outputs_, depth, neighbourhoods_.data(),
             weights_.value.data(), y_.data());
    return y_;
  }
  for (std::int64_t n = 0; n < batch; ++n) {
    multiply(Transpose::no, Transpose::no, outputs_, positions, depth, weights_.value.data(),
             neighbourhoods_.data() + n * depth * positions, y_.data() + n * outputs_ * positions);
  }
  return y_;
}

const Values& Convolution::backward(const Values& x, const Values& dy) {
  const std::int64_t depth = 9 * input_.channels;
  const std::int64_t positions = input_.positions();
  const auto batch = static_cast<std::int64_t>(x.size()) / input_.elements();
  dneighbourhoods_.resize(neighbourhoods_.size());
  if (input_.layout == xbn::Layout::nxc) {
    multiply(Transpose::yes, Transpose::no, outputs_, depth, batch * positions, dy.data(), neighbourhoods_.data(),
             weights_.gradient.data());
    multiply(Transpose::no, Transpose::no, batch * positions, depth, outputs_, dy.data(), weights_.value.data(),
             dneighbourhoods_.data());
  } else {
    for (std::int64_t n = 0; n < batch; ++n) {
      const float* dy_n = dy.data() + n * outputs_ * positions;
      const std::int64_t begin = n * depth * positions;
      multiply(Transpose::no, Transpose::yes, outputs_, depth, positions, dy_n, neighbourhoods_.data() + begin,
               weights_.gradient.data(), n == 0 ? 0.0F : 1.0F);
      multiply(Transpose::yes, Transpose::no, depth, positions, outputs_, weights_.value.data(), dy_n,
               dneighbourhoods_.data() + begin);
    }
  }
  dx_.assign(x.size(), 0.0F);
  for (std::int64_t n = 0; n < batch; ++n) {
    add_neighbourhoods(input_, dneighbourhoods_.data() + n * depth * positions, dx_.data() + n * input_.elements());
  }
  return dx_;
}

void Convolution::append_parameters(std::vector<Parameter*>& parameters) { parameters.push_back(&weights_); }

const Values& AveragePool::forward(const Values& x, std::int64_t batch, Mode) {
  const bool planes = input_.layout == xbn::Layout::ncx;
  const std::int64_t positions = input_.positions();
  y_.assign(static_cast<std::size_t>(batch * input_.channels), 0.0F);
  for (std::int64_t n = 0; n < batch; ++n) {
    const float* image = x.data() + n * input_.elements();
    for (std::int64_t c = 0; c < input_.channels; ++c) {
      float sum = 0;
      for (std::int64_t s = 0; s < positions; ++s) sum += image[planes ? c * positions + s : s * input_.channels + c];
      y_[static_cast<std::size_t>(n * input_.channels + c)] = sum / static_cast<float>(positions);
    }
  }
  return y_;
}

const Values& AveragePool::backward(const Values& x, const Values& dy) {
  const bool planes = input_.layout == xbn::Layout::ncx;
  const std::int64_t positions = input_.positions();
  const auto batch = static_cast<std::int64_t>(x.size()) / input_.elements();
  dx_.resize(x.size());
  for (std::int64_t n = 0; n < batch; ++n) {
    float* image = dx_.data() + n * input_.elements();
    for (std::int64_t c = 0; c < input_.channels; ++c) {
      const float part = dy[static_cast<std::size_t>(n * input_.channels + c)] / static_cast<float>(positions);
      for (std::int64_t s = 0; s < positions; ++s) image[planes ? c * positions + s : s * input_.channels + c] = part;
    }
  }
  return dx_;
}

}  // namespace train
