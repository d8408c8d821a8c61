#include "network/linear.hpp"

#include <algorithm>

#include "network/blas.hpp"

namespace train {

Linear::Linear(std::int64_t inputs, std::int64_t outputs, bool with_bias, double deviation, Random& random)
    : inputs_(inputs), outputs_(outputs), weights_(static_cast<std::size_t>(inputs * outputs)) {
  draw(weights_.value, deviation, random);
  if (with_bias) bias_.emplace(static_cast<std::size_t>(outputs));
}

const Values& Linear::forward(const Values& x, std::int64_t batch, Mode) {
  y_.resize(static_cast<std::size_t>(batch * outputs_));
  multiply(Transpose::no, Transpose::yes, batch, outputs_, inputs_, x.data(), weights_.value.data(), y_.data());
  if (bias_) add_to_rows(bias_->value, y_);
  return y_;
}

const Values& Linear::backward(const Values& x, const Values& dy) {
  const auto batch = static_cast<std::int64_t>(dy.size()) / outputs_;
  multiply(Transpose::yes, Transpose::no, outputs_, inputs_, batch, dy.data(), x.data(), weights_.gradient.data());
  if (bias_) sum_columns(dy, bias_->gradient);
  dx_.resize(x.size());
  multiply(Transpose::no, Transpose::no, batch, inputs_, outputs_, dy.data(), weights_.value.data(), dx_.data());
  return dx_;
}

void Linear::append_parameters(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weights_);
  if (bias_) parameters.push_back(&*bias_);
}

void sum_columns(const Values& matrix, Values& sums) {
  std::vector<double> exact(sums.size(), 0.0);
  for (std::size_t begin = 0; begin < matrix.size(); begin += sums.size()) {
    for (std::size_t i = 0; i < sums.size(); ++i) exact[i] += static_cast<double>(matrix[begin + i]);
  }
  std::transform(exact.begin(), exact.end(), sums.begin(), [](double sum) { return static_cast<float>(sum); });
}

void add_to_rows(const Values& row, Values& matrix) {
  for (std::size_t begin = 0; begin < matrix.size(); begin += row.size()) {
    for (std::size_t i = 0; i < row.size(); ++i) matrix[begin + i] += row[i];
  }
}

void draw(Values& values, double deviation, Random& random) {
  std::normal_distribution<double> normal(0.0, deviation);
  std::generate(values.begin(), values.end(), [&] { return static_cast<float>(normal(random)); });
}

}  // namespace train
