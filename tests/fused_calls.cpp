#include "fused_calls.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "data.hpp"

namespace xbn::test {
namespace {

constexpr std::uint8_t kUnwritten = 0xa5;

bool is_integer(DataType type) { return type == DataType::s8 || type == DataType::u8; }

/// Arguments a channel or a sample, as `Real`; null where empty.
template <class Real>
class Array {
 public:
  explicit Array(const Doubles& values) : values_(values.begin(), values.end()) {}
  explicit Array(std::int64_t size) : values_(size, Real(-77)) {}
  Real* data() { return values_.empty() ? nullptr : values_.data(); }
  Doubles values() const { return {values_.begin(), values_.end()}; }

 private:
  std::vector<Real> values_;
};

const std::int64_t* data_of(const std::vector<std::int64_t>& lengths) {
  return lengths.empty() ? nullptr : lengths.data();
}

/// The tensors and the mask of a forward call.
class ForwardTensors {
 public:
  ForwardTensors(const Problem& problem, const FusedInputs& in, const FusedPlacement& placement)
      : placement_(placement),
        x_(problem.source, problem.layout, shape_of(problem), placement.source, in.x),
        x_before_(x_.values()) {
    const Shape shape = shape_of(problem);
    if (problem.residual) residual_.emplace(problem.destination, problem.layout, shape, placement.second, in.residual);
    if (placement.place == Place::separate) y_.emplace(problem.destination, problem.layout, shape, placement.result);
  }

  template <class Args>
  void pass_to(Args& args, std::vector<std::uint8_t>& mask) {
    args.x = x_.input();
    args.y = y().output(placement_.owns_padding);
    if (residual_) args.residual = residual_->input();
    args.mask = mask.empty() ? nullptr : mask.data();
  }

  Doubles results() {
    EXPECT_TRUE(y().surroundings_are_intact(placement_.owns_padding));
    if (&y() != &x_) {
      EXPECT_TRUE(x_.surroundings_are_intact(false));
      const Doubles after = x_.values();
      EXPECT_TRUE(std::equal(after.begin(), after.end(), x_before_.begin(), [](double a, double b) {
        return a == b || (std::isnan(a) && std::isnan(b));
      })) << "x was written";
    }
    return y().values();
  }

 private:
  TypedTensor& y() {
    return placement_.place == Place::first ? x_ : placement_.place == Place::second ? *residual_ : *y_;
  }

  FusedPlacement placement_;
  TypedTensor x_;
  Doubles x_before_;
  std::optional<TypedTensor> residual_;
  std::optional<TypedTensor> y_;
};

/// A mask with a few bytes behind it that must stay as they are.
std::vector<std::uint8_t> mask_for(const BatchNorm& object, bool wanted) {
  return std::vector<std::uint8_t>(wanted ? object.mask_bytes() + 8 : 0, kUnwritten);
}

void take_mask(std::vector<std::uint8_t>& mask) {
  if (mask.empty()) return;
  EXPECT_EQ(std::count(mask.end() - 8, mask.end(), kUnwritten), 8) << "memory behind the mask was written";
  mask.resize(mask.size() - 8);
}

template <class Real>
FusedOutputs training(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement,
                      Running* running) {
  const Problem& problem = object.problem();
  ForwardTensors tensors(problem, in, placement);
  Array<Real> gamma(in.gamma), beta(in.beta), weights(in.weights), mean(problem.channels), variance(problem.channels);
  Array<Real> running_mean(running != nullptr ? running->mean : Doubles{});
  Array<Real> running_variance(running != nullptr ? running->variance : Doubles{});
  FusedOutputs out;
  out.mask = mask_for(object, placement.mask);
  BasicForwardTraining<Real> args;
  tensors.pass_to(args, out.mask);
  args.gamma = gamma.data();
  args.beta = beta.data();
  args.mean = mean.data();
  args.variance = variance.data();
  args.lengths = data_of(in.lengths);
  args.weights = weights.data();
  if (running != nullptr) args.running = {running_mean.data(), running_variance.data(), running->update};
  object.forward_training(args);
  out.y = tensors.results();
  out.mean = mean.values();
  out.variance = variance.values();
  take_mask(out.mask);
  if (running != nullptr) {
    running->mean = running_mean.values();
    running->variance = running_variance.values();
  }
  return out;
}

template <class Real>
FusedOutputs inference(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement) {
  ForwardTensors tensors(object.problem(), in, placement);
  Array<Real> gamma(in.gamma), beta(in.beta), mean(in.mean), variance(in.variance);
  FusedOutputs out;
  out.mask = mask_for(object, placement.mask);
  BasicForwardInference<Real> args;
  tensors.pass_to(args, out.mask);
  args.gamma = gamma.data();
  args.beta = beta.data();
  args.mean = mean.data();
  args.variance = variance.data();
  args.lengths = data_of(in.lengths);
  object.forward_inference(args);
  out.y = tensors.results();
  take_mask(out.mask);
  return out;
}

template <class Real>
FusedOutputs folded(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement) {
  ForwardTensors tensors(object.problem(), in, placement);
  Array<Real> scale(in.gamma), shift(in.beta), mean(in.mean);
  FusedOutputs out;
  out.mask = mask_for(object, placement.mask);
  BasicForwardFolded<Real> args;
  tensors.pass_to(args, out.mask);
  args.mean = mean.data();
  args.scale = scale.data();
  args.shift = shift.data();
  args.lengths = data_of(in.lengths);
  object.forward_folded(args);
  out.y = tensors.results();
  take_mask(out.mask);
  return out;
}

template <class Real>
FusedResults differentiated(const BatchNorm& object, Statistics statistics, const FusedInputs& in,
                            const FusedPlacement& placement, const FusedWanted& wanted,
                            const std::vector<std::uint8_t>& mask) {
  const Problem& problem = object.problem();
  const Shape shape = shape_of(problem);
  const bool from_y = problem.backward_from_output;
  const Doubles& first_values = from_y ? in.y : in.x;
  std::optional<TypedTensor> first, residual, dx, d_residual;
  if (!first_values.empty() || shape.elements() == 0)
    first.emplace(problem.source, problem.layout, shape, placement.source, first_values);
  TypedTensor dy(problem.destination, problem.layout, shape, placement.second, in.dy);
  if (problem.residual && (!in.residual.empty() || shape.elements() == 0)) {
    residual.emplace(problem.destination, problem.layout, shape, placement.second, in.residual);
  }
  if (placement.place == Place::separate) dx.emplace(problem.source, problem.layout, shape, placement.result);
  TypedTensor& result = placement.place == Place::first ? *first : placement.place == Place::second ? dy : *dx;
  if (problem.residual && wanted.d_residual) {
    d_residual.emplace(problem.destination, problem.layout, shape, placement.result);
  }

  Array<Real> gamma(in.gamma), beta(in.beta), mean(in.mean), variance(in.variance), weights(in.weights);
  Array<Real> dgamma(problem.channels), dbeta(problem.channels);
  FusedResults out;
  if (from_y) out.saturated.assign(problem.channels, -77);
  BasicBackward<Real> args;
  args.statistics = statistics;
  if (first) (from_y ? args.y : args.x) = first->input();
  args.dy = dy.input();
  args.gamma = gamma.data();
  args.beta = beta.data();
  args.mean = mean.data();
  args.variance = variance.data();
  if (residual) args.residual = residual->input();
  if (wanted.dx) args.dx = result.output(placement.owns_padding);
  if (d_residual) args.d_residual = d_residual->output(placement.owns_padding);
  if (wanted.dgamma) args.dgamma = dgamma.data();
  if (wanted.dbeta) args.dbeta = dbeta.data();
  if (placement.mask) args.mask = mask.data();
  if (from_y) args.saturated = out.saturated.data();
  args.lengths = data_of(in.lengths);
  args.weights = weights.data();
  object.backward(args);
  if (wanted.dx) {
    EXPECT_TRUE(result.surroundings_are_intact(placement.owns_padding)) << "dx";
    out.dx = result.values();
  }
  if (d_residual) {
    EXPECT_TRUE(d_residual->surroundings_are_intact(placement.owns_padding)) << "d_residual";
    out.d_residual = d_residual->values();
  }
  if (wanted.dgamma) out.dgamma = dgamma.values();
  if (wanted.dbeta) out.dbeta = dbeta.values();
  return out;
}

bool is_f64(const BatchNorm& object) { return object.problem().source == DataType::f64; }

Doubles widened_and_scaled(DataType type, Values values) {
  if (is_integer(type)) {
    for (float& value : values) value = value * 30 + (type == DataType::u8 ? 110.0F : 0.0F);
  }
  return held_by(type, values);
}

}  // namespace

FusedOutputs run_training(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement,
                          Running* running) {
  return is_f64(object) ? training<double>(object, in, placement, running)
                        : training<float>(object, in, placement, running);
}

FusedOutputs run_inference(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement) {
  return is_f64(object) ? inference<double>(object, in, placement) : inference<float>(object, in, placement);
}

FusedOutputs run_folded(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement) {
  return is_f64(object) ? folded<double>(object, in, placement) : folded<float>(object, in, placement);
}

FusedResults run_backward(const BatchNorm& object, Statistics statistics, const FusedInputs& in,
                          const FusedPlacement& placement, const FusedWanted& wanted,
                          const std::vector<std::uint8_t>& mask) {
  return is_f64(object) ? differentiated<double>(object, statistics, in, placement, wanted, mask)
                        : differentiated<float>(object, statistics, in, placement, wanted, mask);
}

FusedInputs make_inputs(const Problem& problem, std::uint64_t seed) {
  const Shape shape = shape_of(problem);
  FusedInputs in;
  const Values x = generate(Data::normal, shape, seed);
  in.x = widened_and_scaled(problem.source, x);
  if (problem.residual) in.residual = held_by(problem.destination, generate(Data::normal, shape, seed + 1));
  in.dy = held_by(problem.destination, correlated_gradients(shape, x, seed + 2));
  if (problem.source == DataType::f64) {
    // Let all digits of a double take part.
    for (double& value : in.x) value += value * 0x1.23456789abcp-26;
    for (double& value : in.dy) value -= value * 0x1.a9876543212p-27;
  }
  const Parameters parameters = random_parameters(problem.channels, seed);
  in.gamma = widened(parameters.gamma);
  // gamma may not be 0 for the way back from the output.
  for (double& gamma : in.gamma) gamma += gamma < 0 ? -0.125 : 0.125;
  in.beta = widened(parameters.beta);
  if (problem.lengths) {
    for (std::int64_t n = 0; n < problem.batch; ++n) {
      const std::int64_t lengths[] = {problem.spatial, problem.spatial / 2, 0, (problem.spatial * 5 + 6) / 7};
      in.lengths.push_back(lengths[n % 4]);
    }
  }
  if (problem.weights) {
    for (std::int64_t n = 0; n < problem.batch; ++n)
      in.weights.push_back(n % 3 == 1 ? 0.0 : 0.25 + 0.75 * static_cast<double>(n % 5));
  }
  const auto void_beyond = [&](Doubles& values) {
    if (values.empty()) return;
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      const std::int64_t n = i / (shape.channels * shape.spatial);
      if (!is_valid(in, n, i % shape.spatial)) values[i] = std::numeric_limits<double>::quiet_NaN();
    }
  };
  if (!is_integer(problem.source)) void_beyond(in.x);
  void_beyond(in.residual);
  if (!is_integer(problem.destination)) void_beyond(in.dy);
  const bool empty = problem.batch == 0 || problem.spatial == 0;
  const FusedStatistics batch =
      empty ? FusedStatistics{Reals(problem.channels), Reals(problem.channels)} : statistics_of(problem, in);
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    in.mean.push_back(static_cast<float>(batch.mean[c] + 0.25L * std::sqrt(batch.variance[c])));
    in.variance.push_back(static_cast<float>(batch.variance[c] * 1.25L));
  }
  return in;
}

FusedStatistics save_statistics(const Problem& problem, FusedInputs& in) {
  FusedStatistics exact = statistics_of(problem, in);
  const DataType real = problem.source == DataType::f64 ? DataType::f64 : DataType::f32;
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    in.mean[c] = static_cast<double>(rounded_to(real, exact.mean[c]));
    in.variance[c] = static_cast<double>(rounded_to(real, exact.variance[c]));
    exact.variance[c] = in.variance[c];
  }
  return exact;
}

FusedStatistics given_statistics(const FusedInputs& in) {
  return {{in.mean.begin(), in.mean.end()}, {in.variance.begin(), in.variance.end()}};
}

void avoid_kinks(const Problem& problem, FusedInputs& in, const FusedStatistics& of) {
  const ActivationKind kind = problem.activation.kind;
  if (kind != ActivationKind::relu && kind != ActivationKind::leaky_relu && kind != ActivationKind::clipped_relu)
    return;
  const Bounded z = pre_activation(problem, in, of);
  const long double bound = kind == ActivationKind::clipped_relu ? problem.activation.bound : 0;
  for (std::size_t i = 0; i < in.dy.size(); ++i) {
    const long double distance = std::min(std::fabs(z.value[i]), std::fabs(z.value[i] - bound));
    if (!std::isnan(in.dy[i]) && distance <= 4 * z.allowed[i]) in.dy[i] = 0;
  }
}

std::vector<std::uint8_t> mask_of(const Problem& problem, const FusedInputs& in, const Reals& z) {
  // Runs in the order of a dense tensor: sample, plane or block of channels, position, and in them the run.
  const bool planes = problem.layout == Layout::ncx;
  const std::int64_t block = channel_block(problem.layout);
  const bool rows = problem.layout == Layout::nc || problem.layout == Layout::nxc;
  const std::int64_t run = planes ? problem.spatial : rows ? problem.channels : block;
  const std::int64_t outer = planes ? problem.channels : rows ? 1 : (problem.channels + block - 1) / block;
  const std::int64_t inner = planes ? 1 : problem.spatial;
  std::vector<std::uint8_t> mask;
  for (std::int64_t n = 0; n < problem.batch; ++n) {
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t p = 0; p < inner; ++p) {
        for (std::int64_t i = 0; i < run; ++i) {
          if (i % 8 == 0) mask.push_back(0);
          const std::int64_t c = planes ? o : o * run + i;
          const std::int64_t s = planes ? i : p;
          if (c >= problem.channels || !is_valid(in, n, s)) continue;
          const bool passes = !(z[(n * problem.channels + c) * problem.spatial + s] <= 0);
          mask.back() = static_cast<std::uint8_t>(mask.back() | (passes ? 1 << i % 8 : 0));
        }
      }
    }
  }
  return mask;
}

}  // namespace xbn::test
