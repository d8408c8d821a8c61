#include "network/training.hpp"

#include <algorithm>
#include <cmath>

#include "interrupt.hpp"
#include "network/loss.hpp"
#include "network/optimizer.hpp"

namespace train {

MiniBatches::MiniBatches(const Dataset& data, std::int64_t size, std::uint64_t seed)
    : data_(data), size_(std::min(size, data.samples())), seeds_(seed) {}

const Dataset& MiniBatches::next() {
  if (order_.empty() || position_ + size_ > data_.samples()) {
    order_ = permutation(data_.samples(), seeds_());
    position_ = 0;
  }
  batch_ = select(data_, order_.data() + position_, size_);
  position_ += size_;
  return batch_;
}

History train_network(Layer& network, const Split& data, const Training& training) {
  std::vector<Parameter*> parameters;
  network.append_parameters(parameters);
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(training.optimizer, training.rate);
  MiniBatches batches(data.train, training.batch, training.seed);
  History history;
  Values dlogits;
  double loss = 0;
  int losses = 0;
  for (int step = 1; step <= training.steps; ++step) {
    throw_if_interrupted();
    const Dataset& batch = batches.next();
    const Values& logits = network.forward(batch.x, batch.samples(), Mode::training);
    loss += softmax_cross_entropy(logits, batch.labels, &dlogits);
    ++losses;
    if (!std::isfinite(loss)) break;
    network.backward(batch.x, dlogits);
    optimizer->step(parameters);
    if (step % training.every != 0) continue;
    history.steps.push_back(step);
    history.loss.push_back(loss / losses);
    history.accuracy.push_back(evaluate(network, data.test).accuracy);
    if (training.observe) training.observe(step);
    loss = 0;
    losses = 0;
  }
  return history;
}

Evaluation evaluate(Layer& network, const Dataset& data) {
  const Values& logits = network.forward(data.x, data.samples(), Mode::inference);
  return {softmax_cross_entropy(logits, data.labels, nullptr),
          accuracy(predictions(logits, data.labels.size()), data.labels)};
}

}  // namespace train
