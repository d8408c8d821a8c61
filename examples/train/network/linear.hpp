#pragma once

#include <optional>

#include "network/layer.hpp"

namespace train {

/// y = x * W^T, or with a bias, x * W^T + b; W is outputs x inputs.
class Linear : public Layer {
 public:
  /// Weights are drawn from a normal distribution of this deviation.
  Linear(std::int64_t inputs, std::int64_t outputs, bool with_bias, double deviation, Random& random);

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;
  void append_parameters(std::vector<Parameter*>& parameters) override;

  std::int64_t inputs() const { return inputs_; }
  std::int64_t outputs() const { return outputs_; }
  Parameter& weights() { return weights_; }
  const Parameter& weights() const { return weights_; }
  const std::optional<Parameter>& bias() const { return bias_; }
  const Values& output() const { return y_; }

 private:
  std::int64_t inputs_;
  std::int64_t outputs_;
  Parameter weights_;
  std::optional<Parameter> bias_;
  Values y_{};
  Values dx_{};
};

/// The sum of each column of a matrix in rows, taken in double.
void sum_columns(const Values& matrix, Values& sums);

/// Adds a row to every row of a matrix.
void add_to_rows(const Values& row, Values& matrix);

/// Draws from a normal distribution of mean 0.
void draw(Values& values, double deviation, Random& random);

}  // namespace train
