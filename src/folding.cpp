#include "xbn/folding.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "call_memory.hpp"
#include "errors.hpp"
#include "reciprocal_deviation.hpp"
#include "validate.hpp"

namespace xbn {
namespace {

using internal::CallMemory;
using internal::Presence;
using internal::reject;
using internal::to_text;

// A source has the parameters of a problem without tensors.
Problem checked_problem(const FoldedSource& source) {
  Problem problem;
  problem.layout = Layout::nc;
  problem.channels = source.channels;
  problem.epsilon = source.epsilon;
  problem.epsilon_placement = source.epsilon_placement;
  internal::validate(problem, "source");
  return problem;
}

void read_source(CallMemory& memory, const FoldedSource& source) {
  memory.read("source.gamma", source.gamma, Presence::optional);
  memory.read("source.beta", source.beta, Presence::optional);
  memory.read("source.mean", source.mean);
  memory.read("source.variance", source.variance);
}

double scale_of(const FoldedSource& source, std::int64_t c) {
  const double gamma = source.gamma != nullptr ? double{source.gamma[c]} : 1.0;
  return gamma * reciprocal_deviation(source.variance[c], source.epsilon, source.epsilon_placement);
}

double beta_of(const FoldedSource& source, std::int64_t c) {
  return source.beta != nullptr ? double{source.beta[c]} : 0.0;
}

void require_size(const char* argument, std::int64_t size) {
  if (size < 1) reject(argument, "be at least 1", to_text(size));
}

void require_divides(std::int64_t groups, const char* argument, std::int64_t size) {
  if (size % groups != 0) {
    reject("groups", "divide " + std::string(argument) + ", " + to_text(size), to_text(groups));
  }
}

void validate(const ConvolutionWeights& convolution, std::int64_t channels) {
  if (convolution.layout != WeightsLayout::oihw && convolution.layout != WeightsLayout::iohw) {
    reject("layout", "be oihw or iohw", to_text(static_cast<std::int64_t>(convolution.layout)));
  }
  require_size("output_channels", convolution.output_channels);
  require_size("input_channels", convolution.input_channels);
  require_size("groups", convolution.groups);
  require_size("kernel", convolution.kernel);
  if (convolution.output_channels != channels) {
    reject("output_channels", "be source.channels, " + to_text(channels), to_text(convolution.output_channels));
  }
  require_divides(convolution.groups, "output_channels", convolution.output_channels);
  require_divides(convolution.groups, "input_channels", convolution.input_channels);
}

std::size_t checked_weight_bytes(const ConvolutionWeights& convolution) {
  const std::int64_t inputs = convolution.input_channels / convolution.groups;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(convolution.output_channels, inputs, &bytes) ||
      __builtin_mul_overflow(bytes, convolution.kernel, &bytes) ||
      __builtin_mul_overflow(bytes, std::int64_t{sizeof(float)}, &bytes)) {
    reject("weights", "take at most 2^63 - 1 bytes",
           to_text(convolution.output_channels) + " * " + to_text(inputs) + " * " + to_text(convolution.kernel) +
               " elements");
  }
  return static_cast<std::size_t>(bytes);
}

void multiply(const float* from, float* to, std::int64_t count, double factor) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i] * factor);
}

}  // namespace

void fold_scale_shift(const FoldedSource& source, float* scale, float* shift) {
  const Problem problem = checked_problem(source);
  CallMemory memory(problem);
  read_source(memory, source);
  memory.written("scale", scale);
  memory.written("shift", shift);
  for (std::int64_t c = 0; c < source.channels; ++c) {
    const double exact_scale = scale_of(source, c);
    scale[c] = static_cast<float>(exact_scale);
    shift[c] = static_cast<float>(beta_of(source, c) - source.mean[c] * exact_scale);
  }
}

void fold_mean_scale_shift(const FoldedSource& source, float* mean, float* scale, float* shift) {
  const Problem problem = checked_problem(source);
  CallMemory memory(problem);
  read_source(memory, source);
  memory.written("mean", mean);
  memory.written("scale", scale);
  memory.written("shift", shift);
  for (std::int64_t c = 0; c < source.channels; ++c) {
    mean[c] = source.mean[c];
    scale[c] = static_cast<float>(scale_of(source, c));
    shift[c] = static_cast<float>(beta_of(source, c));
  }
}

namespace {

void require_quantisation(const char* argument, const Quantisation& quantisation) {
  if (quantisation.scale > 0 && quantisation.scale <= std::numeric_limits<double>::max()) return;
  reject(std::string(argument) + ".scale", "be finite and more than 0", to_text(quantisation.scale));
}

}  // namespace

void fold_quantisation(const FoldedSource& source, const Quantisation& from, const Quantisation& to, float* mean,
                       float* scale, float* shift) {
  const Problem problem = checked_problem(source);
  require_quantisation("from", from);
  require_quantisation("to", to);
  CallMemory memory(problem);
  read_source(memory, source);
  memory.written("mean", mean);
  memory.written("scale", scale);
  memory.written("shift", shift);
  for (std::int64_t c = 0; c < source.channels; ++c) {
    // q * from.scale - from.scale * zero_point - mean = from.scale * (q - integer_mean)
    const double integer_mean = double{source.mean[c]} / from.scale + from.zero_point;
    const double slope = scale_of(source, c) * from.scale / to.scale;
    mean[c] = static_cast<float>(integer_mean);
    const double lost = integer_mean - double{mean[c]};
    scale[c] = static_cast<float>(slope);
    shift[c] = static_cast<float>(beta_of(source, c) / to.scale + to.zero_point - lost * slope);
  }
}

void fold_into_convolution(const FoldedSource& source, const ConvolutionWeights& convolution, float* folded_weights,
                           float* folded_bias) {
  const Problem problem = checked_problem(source);
  validate(convolution, source.channels);
  const std::size_t weight_bytes = checked_weight_bytes(convolution);
  const float* weights = convolution.weights;
  const float* bias = convolution.bias;
  if (weights == nullptr) reject("weights", "not be null", "null");
  CallMemory memory(problem);
  read_source(memory, source);
  if (folded_weights != weights) memory.read_bytes("weights", weights, weight_bytes);
  if (folded_bias != bias) memory.read("bias", bias, Presence::optional);
  memory.written_bytes("folded_weights", folded_weights, weight_bytes);
  memory.written("folded_bias", folded_bias);

  const std::int64_t inputs = convolution.input_channels / convolution.groups;
  const std::int64_t outputs = convolution.output_channels / convolution.groups;
  const std::int64_t kernel = convolution.kernel;
  for (std::int64_t o = 0; o < convolution.output_channels; ++o) {
    const double scale = scale_of(source, o);
    if (convolution.layout == WeightsLayout::oihw) {
      const std::int64_t first = o * inputs * kernel;
      multiply(weights + first, folded_weights + first, inputs * kernel, scale);
    } else {
      const std::int64_t first_input = o / outputs * inputs;
      for (std::int64_t i = first_input; i < first_input + inputs; ++i) {
        const std::int64_t first = (i * outputs + o % outputs) * kernel;
        multiply(weights + first, folded_weights + first, kernel, scale);
      }
    }
    const double bias_before = bias != nullptr ? double{bias[o]} : 0.0;
    folded_bias[o] = static_cast<float>(beta_of(source, o) + (bias_before - source.mean[o]) * scale);
  }
}

void fold_into_linear(const FoldedSource& source, std::int64_t input_features, const float* weights, const float* bias,
                      float* folded_weights, float* folded_bias) {
  require_size("input_features", input_features);
  ConvolutionWeights linear;
  linear.output_channels = source.channels;
  linear.input_channels = input_features;
  linear.weights = weights;
  linear.bias = bias;
  fold_into_convolution(source, linear, folded_weights, folded_bias);
}

}  // namespace xbn
