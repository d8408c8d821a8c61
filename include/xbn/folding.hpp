#pragma once

/// Inference with the statistics folded away: into numbers a channel, or into the layer before.

#include <cstdint>

#include "xbn/batch_norm.hpp"

namespace xbn {

/// The trained batch norm that is folded: `channels` elements in each array; gamma and beta may be null.
struct FoldedSource {
  std::int64_t channels = 0;  ///< >= 1
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;
  double epsilon = 1e-5;  ///< finite, >= 0
  EpsilonPlacement epsilon_placement = EpsilonPlacement::inside_root;
};

/// Two numbers a channel: y = x * scale + shift. Computed in double, rounded once. Loses accuracy in proportion to
/// |mean| / sigma, as any two numbers must: see fold_mean_scale_shift.
void fold_scale_shift(const FoldedSource& source, float* scale, float* shift);

/// Three numbers a channel: y = (x - mean) * scale + shift, which keeps forward_inference's accuracy where |mean| is
/// much larger than sigma. `mean` is the source's, so that its array may be given to ForwardFolded as it is; it is
/// copied here so that the three can be kept together.
void fold_mean_scale_shift(const FoldedSource& source, float* mean, float* scale, float* shift);

/// What an integer of a quantised tensor stands for: real = scale * (integer - zero_point).
struct Quantisation {
  double scale = 1;  ///< finite, > 0
  std::int32_t zero_point = 0;
};

/// Three numbers a channel for a forward_folded from and to integers: (q - mean) * scale + shift, rounded and saturated
/// by the call, is the integer that stands for batch norm of what q stands for. Either side may be f32: then its
/// quantisation is the default. Computed in double, rounded once. An activation follows in terms of the destination's
/// integers before rounding: ReLU wants a zero_point of 0 there, a clipped ReLU its bound divided by the scale.
void fold_quantisation(const FoldedSource& source, const Quantisation& from, const Quantisation& to, float* mean,
                       float* scale, float* shift);

/// How the weights of a convolution lie.
enum class WeightsLayout {
  oihw,  ///< output channels, input channels of a group, kernel. Linear layers: kernel 1.
  iohw,  ///< transposed convolution: input channels, output channels of a group, kernel.
};

/// Weights of a convolution or linear layer whose output batch norm normalises; batch norm's channels are its outputs.
/// Dense. oihw: output_channels x (input_channels / groups) x kernel; iohw: input_channels x (output_channels / groups)
/// x kernel. Groups divide both, group g connecting the g-th part of each. Depthwise: groups = input_channels.
struct ConvolutionWeights {
  WeightsLayout layout = WeightsLayout::oihw;
  std::int64_t output_channels = 0;  ///< >= 1, equal to FoldedSource::channels
  std::int64_t input_channels = 0;   ///< >= 1
  std::int64_t groups = 1;           ///< >= 1, divides both
  std::int64_t kernel = 1;           ///< height * width (* depth) of the kernel, >= 1
  const float* weights = nullptr;
  const float* bias = nullptr;  ///< output_channels elements, or null for none
};

/// folded_weights = weights * gamma / sqrt(variance + epsilon), folded_bias = beta + (bias - mean) * gamma /
/// sqrt(variance + epsilon), in double, rounded once. Either may be its source (in place), and must otherwise not
/// overlap anything. folded_bias is always written: there is a bias afterwards. Throws std::invalid_argument before
/// anything is written.
void fold_into_convolution(const FoldedSource& source, const ConvolutionWeights& convolution, float* folded_weights,
                           float* folded_bias);

/// The same for a linear layer: weights of output_features x input_features, output_features = source.channels.
void fold_into_linear(const FoldedSource& source, std::int64_t input_features, const float* weights, const float* bias,
                      float* folded_weights, float* folded_bias);

}  // namespace xbn
