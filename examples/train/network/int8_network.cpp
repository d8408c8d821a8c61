#include "network/int8_network.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace train {
namespace {

float largest_magnitude(const float* values, std::int64_t count) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  return largest;
}

// What one of `levels` stands for: one value in a thousand is clipped, so that the others get more of the levels.
float clipping_step(const Values& values, float levels) {
  Values magnitudes(values.size());
  std::transform(values.begin(), values.end(), magnitudes.begin(), [](float value) { return std::abs(value); });
  const auto clipped = magnitudes.end() - static_cast<std::ptrdiff_t>(magnitudes.size() / 1000) - 1;
  std::nth_element(magnitudes.begin(), clipped, magnitudes.end());
  return *clipped > 0 ? *clipped / levels : 1.0F;
}

xbn::BatchNorm affine(std::int64_t batch, std::int64_t channels, xbn::DataType destination,
                      const xbn::Activation& activation) {
  xbn::Problem problem;
  problem.layout = xbn::Layout::nc;
  problem.batch = batch;
  problem.channels = channels;
  problem.destination = destination;
  problem.activation = activation;
  xbn::Options options;
  options.executor = &xbn::serial_executor();
  return xbn::BatchNorm(problem, options);
}

void apply(const xbn::BatchNorm& norm, const Values& x, const Values& scale, const Values& shift,
           const xbn::Output& y) {
  xbn::ForwardFolded args;
  args.x = x.data();
  args.y = y;
  args.scale = scale.data();
  args.shift = shift.data();
  norm.forward_folded(args);
}

}  // namespace

Int8Network::Int8Network(FullyConnected& trained, const Dataset& samples) {
  const xbn::ActivationKind activation = trained.settings().activation;
  if (activation != xbn::ActivationKind::relu) {
    throw std::invalid_argument("trained: must have ReLU; has " + std::string(xbn::name(activation)));
  }
  trained.forward(samples.x, samples.samples(), Mode::inference);
  float input_step = clipping_step(samples.x, 127.0F);
  input_scale_.assign(static_cast<std::size_t>(samples.features), 1.0F / input_step);
  input_shift_.assign(static_cast<std::size_t>(samples.features), 0.0F);
  for (const FullyConnected::Hidden& layer : trained.hidden()) {
    const float output_step = clipping_step(layer.norm->output(), 255.0F);
    add_stage(*layer.linear, input_step);
    Stage& stage = stages_.back();
    Values scale(stage.scale.size());
    Values shift(stage.scale.size());
    xbn::fold_scale_shift(layer.norm->folded_source(), scale.data(), shift.data());
    for (std::size_t i = 0; i < scale.size(); ++i) {
      stage.shift[i] = (stage.shift[i] * scale[i] + shift[i]) / output_step;
      stage.scale[i] *= scale[i] / output_step;
    }
    input_step = output_step;
  }
  add_stage(trained.last(), input_step);
}

void Int8Network::add_stage(const Linear& linear, float input_step) {
  Stage stage{linear.inputs(), linear.outputs(), {}, {}, {}};
  Values scaled = linear.weights().value;
  for (std::int64_t o = 0; o < stage.outputs; ++o) {
    float* row = scaled.data() + o * stage.inputs;
    const float largest = largest_magnitude(row, stage.inputs);
    const float row_step = largest > 0 ? largest / 127.0F : 1.0F;
    for (std::int64_t i = 0; i < stage.inputs; ++i) row[i] /= row_step;
    stage.scale.push_back(row_step * input_step);
    stage.shift.push_back(linear.bias() ? linear.bias()->value[static_cast<std::size_t>(o)] : 0.0F);
  }
  stage.weights.resize(scaled.size());
  xbn::convert(scaled.data(), xbn::DataType::f32, stage.weights.data(), xbn::DataType::s8,
               static_cast<std::int64_t>(scaled.size()));
  stages_.push_back(std::move(stage));
}

Int8Network::ForBatch Int8Network::make(std::int64_t batch) const {
  using enum xbn::DataType;
  ForBatch made;
  made.quantizers.push_back(affine(batch, stages_.front().inputs, s8, {}));
  made.inputs.resize(static_cast<std::size_t>(batch * stages_.front().inputs));
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const Stage& stage = stages_[i];
    const bool last = i + 1 == stages_.size();
    made.products.emplace_back(NarrowProduct::Sizes{batch, stage.inputs, stage.outputs},
                               NarrowProduct::Types{i == 0 ? s8 : u8, s8, f32}, stage.weights.data());
    made.norms.push_back(
        affine(batch, stage.outputs, last ? f32 : u8, last ? xbn::Activation{} : xbn::Activation::relu()));
    if (!last) made.activations.emplace_back(static_cast<std::size_t>(batch * stage.outputs));
  }
  made.logits.resize(static_cast<std::size_t>(batch * stages_.back().outputs));
  return made;
}

const Values& Int8Network::forward(const Values& x, std::int64_t batch) {
  auto found = for_batch_.find(batch);
  if (found == for_batch_.end()) found = for_batch_.emplace(batch, make(batch)).first;
  ForBatch& with = found->second;
  apply(with.quantizers.front(), x, input_scale_, input_shift_, with.inputs.data());
  const void* values = with.inputs.data();
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const Stage& stage = stages_[i];
    with.sums.resize(static_cast<std::size_t>(batch * stage.outputs));
    with.products[i](values, with.sums.data());
    if (i + 1 == stages_.size()) {
      apply(with.norms[i], with.sums, stage.scale, stage.shift, with.logits.data());
    } else {
      apply(with.norms[i], with.sums, stage.scale, stage.shift, with.activations[i].data());
      values = with.activations[i].data();
    }
  }
  return with.logits;
}

}  // namespace train
