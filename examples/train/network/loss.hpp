#pragma once

#include "network/layer.hpp"

namespace train {

/// The mean cross-entropy of the softmax of logits, a row for each label, and its gradient by the logits where that is
/// asked for.
double softmax_cross_entropy(const Values& logits, const std::vector<int>& labels, Values* dlogits);

/// The class with the largest logit of each row.
std::vector<int> predictions(const Values& logits, std::size_t rows);

/// The part of the predictions that are the labels.
double accuracy(const std::vector<int>& predicted, const std::vector<int>& labels);

/// The root mean square of the difference, as a part of that of the wanted values.
double relative_difference(const Values& values, const Values& wanted);

}  // namespace train
