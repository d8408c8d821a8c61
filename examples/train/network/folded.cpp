#include "network/folded.hpp"

#include <stdexcept>

#include "network/blas.hpp"

namespace train {

FoldedNetwork::FoldedNetwork(const FullyConnected& trained) {
  for (const FullyConnected::Hidden& layer : trained.hidden()) {
    if (layer.norm == nullptr) throw std::invalid_argument("trained: must have batch norm in every layer; has not");
    const Linear& linear = *layer.linear;
    Stage stage{linear.inputs(), linear.outputs(), {}, {}, {trained.settings().activation}, {}};
    stage.weights.resize(linear.weights().value.size());
    stage.bias.resize(static_cast<std::size_t>(linear.outputs()));
    xbn::fold_into_linear(layer.norm->folded_source(), linear.inputs(), linear.weights().value.data(),
                          linear.bias() ? linear.bias()->value.data() : nullptr, stage.weights.data(),
                          stage.bias.data());
    stages_.push_back(std::move(stage));
  }
  const Linear& last = trained.last();
  stages_.push_back({last.inputs(), last.outputs(), last.weights().value, last.bias()->value, {}, {}});
}

const Values& FoldedNetwork::forward(const Values& x, std::int64_t batch) {
  const Values* input = &x;
  for (Stage& stage : stages_) {
    stage.y.resize(static_cast<std::size_t>(batch * stage.outputs));
    multiply(Transpose::no, Transpose::yes, batch, stage.outputs, stage.inputs, input->data(), stage.weights.data(),
             stage.y.data());
    add_to_rows(stage.bias, stage.y);
    xbn::apply_activation(stage.activation, xbn::DataType::f32, stage.y.data(), stage.y.data(),
                          static_cast<std::int64_t>(stage.y.size()));
    input = &stage.y;
  }
  return *input;
}

}  // namespace train
