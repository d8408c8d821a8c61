#include "network/loss.hpp"

#include <algorithm>
#include <cmath>

namespace train {

double softmax_cross_entropy(const Values& logits, const std::vector<int>& labels, Values* dlogits) {
  const std::size_t rows = labels.size();
  const std::size_t classes = logits.size() / rows;
  if (dlogits != nullptr) dlogits->resize(logits.size());
  double loss = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const float* values = logits.data() + row * classes;
    const auto label = static_cast<std::size_t>(labels[row]);
    const auto largest = static_cast<double>(*std::max_element(values, values + classes));
    double sum = 0;
    for (std::size_t i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(values[i]) - largest);
    loss += std::log(sum) - (static_cast<double>(values[label]) - largest);
    if (dlogits == nullptr) continue;
    for (std::size_t i = 0; i < classes; ++i) {
      const double probability = std::exp(static_cast<double>(values[i]) - largest) / sum;
      (*dlogits)[row * classes + i] =
          static_cast<float>((probability - (i == label ? 1.0 : 0.0)) / static_cast<double>(rows));
    }
  }
  return loss / static_cast<double>(rows);
}

std::vector<int> predictions(const Values& logits, std::size_t rows) {
  const auto classes = static_cast<std::ptrdiff_t>(logits.size() / rows);
  std::vector<int> classes_of(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row) * classes;
    classes_of[row] = static_cast<int>(std::max_element(begin, begin + classes) - begin);
  }
  return classes_of;
}

double accuracy(const std::vector<int>& predicted, const std::vector<int>& labels) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

double relative_difference(const Values& values, const Values& wanted) {
  double differences = 0;
  double squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto right = static_cast<double>(wanted[i]);
    differences += std::pow(static_cast<double>(values[i]) - right, 2);
    squares += right * right;
  }
  return std::sqrt(differences / squares);
}

}  // namespace train
