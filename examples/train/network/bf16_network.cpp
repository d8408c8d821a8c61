#include "network/bf16_network.hpp"

namespace train {
namespace {

std::vector<xbn::bfloat16> narrowed(const Values& values) {
  std::vector<xbn::bfloat16> narrow(values.size());
  xbn::convert(values.data(), xbn::DataType::f32, narrow.data(), xbn::DataType::bf16,
               static_cast<std::int64_t>(values.size()));
  return narrow;
}

}  // namespace

Bf16Network::Bf16Network(const FullyConnected& trained) : trained_(trained) {
  for (const FullyConnected::Hidden& layer : trained.hidden()) {
    weights_.push_back(narrowed(layer.linear->weights().value));
  }
  weights_.push_back(narrowed(trained.last().weights().value));
}

Bf16Network::ForBatch Bf16Network::make(std::int64_t batch) const {
  using enum xbn::DataType;
  ForBatch made;
  xbn::Options options;
  options.executor = &xbn::serial_executor();
  for (const FullyConnected::Hidden& layer : trained_.hidden()) {
    const NarrowProduct::Sizes sizes{batch, layer.linear->inputs(), layer.linear->outputs()};
    made.products.emplace_back(sizes, NarrowProduct::Types{bf16, bf16, bf16}, weights_[made.products.size()].data());
    xbn::Problem problem;
    problem.layout = xbn::Layout::nc;
    problem.batch = batch;
    problem.channels = sizes.outputs;
    problem.epsilon = layer.norm->settings().epsilon;
    problem.epsilon_placement = layer.norm->settings().placement;
    problem.activation = layer.norm->settings().activation;
    problem.source = bf16;
    problem.destination = bf16;
    made.norms.emplace_back(problem, options);
    made.activations.emplace_back(static_cast<std::size_t>(batch * sizes.outputs));
  }
  const Linear& last = trained_.last();
  made.products.emplace_back(NarrowProduct::Sizes{batch, last.inputs(), last.outputs()},
                             NarrowProduct::Types{bf16, bf16, f32}, weights_.back().data());
  made.logits.resize(static_cast<std::size_t>(batch * last.outputs()));
  return made;
}

const Values& Bf16Network::forward(const Values& x, std::int64_t batch) {
  auto found = for_batch_.find(batch);
  if (found == for_batch_.end()) found = for_batch_.emplace(batch, make(batch)).first;
  ForBatch& with = found->second;
  const Narrow inputs = narrowed(x);
  const Narrow* values = &inputs;
  for (std::size_t i = 0; i < with.norms.size(); ++i) {
    Narrow& y = with.activations[i];
    with.products[i](values->data(), y.data());
    const xbn::FoldedSource source = trained_.hidden()[i].norm->folded_source();
    xbn::ForwardInference args;
    args.x = y.data();
    args.y = y.data();
    args.gamma = source.gamma;
    args.beta = source.beta;
    args.mean = source.mean;
    args.variance = source.variance;
    with.norms[i].forward_inference(args);
    values = &y;
  }
  with.products.back()(values->data(), with.logits.data());
  add_to_rows(trained_.last().bias()->value, with.logits);
  return with.logits;
}

}  // namespace train
