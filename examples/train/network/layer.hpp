#pragma once

/// What the layers of a network have in common.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace train {

using Values = std::vector<float>;
using Random = std::mt19937_64;

/// Numbers that training changes, and the gradient of the loss by them.
struct Parameter {
  Values value{};
  Values gradient{};

  explicit Parameter(std::size_t count, float start = 0.0F) : value(count, start), gradient(count, 0.0F) {}
};

/// Training normalises with the statistics of the batch and keeps what backward needs; inference normalises with the
/// running averages.
enum class Mode { training, inference };

class Layer {
 public:
  Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  /// The outputs of a batch. They are the layer's own, and stay until the next call.
  virtual const Values& forward(const Values& x, std::int64_t batch, Mode mode) = 0;

  /// The gradient by x from that by the outputs, after a forward in training mode from the same x; the gradients of the
  /// parameters are overwritten.
  virtual const Values& backward(const Values& x, const Values& dy) = 0;

  virtual void append_parameters(std::vector<Parameter*>&) {}
};

}  // namespace train
