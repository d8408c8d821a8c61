#include "fused_reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "typed_tensor.hpp"

namespace xbn::test {
namespace {

__extension__ typedef __float128 Quad;

/// Calls visit(i, n) for each element of channel c that is within its sample's length.
template <class Visit>
void for_each_valid(const Problem& problem, const FusedInputs& in, std::int64_t c, Visit visit) {
  for (std::int64_t n = 0; n < problem.batch; ++n) {
    const std::int64_t length = in.lengths.empty() ? problem.spatial : in.lengths[n];
    const std::int64_t plane = (n * problem.channels + c) * problem.spatial;
    for (std::int64_t s = 0; s < length; ++s) visit(plane + s, n);
  }
}

Bounded sized(std::int64_t elements) { return {Reals(elements), Reals(elements)}; }

long double gamma_of(const FusedInputs& in, std::int64_t c) { return in.gamma.empty() ? 1 : in.gamma[c]; }
long double beta_of(const FusedInputs& in, std::int64_t c) { return in.beta.empty() ? 0 : in.beta[c]; }
long double weight_of(const FusedInputs& in, std::int64_t n) { return in.weights.empty() ? 1 : in.weights[n]; }

long double reciprocal_of(const Problem& problem, long double variance) {
  if (variance < 0) return std::numeric_limits<long double>::quiet_NaN();
  const long double epsilon = problem.epsilon;
  const long double deviation = problem.epsilon_placement == EpsilonPlacement::inside_root
                                    ? std::sqrt(variance + epsilon)
                                    : std::sqrt(variance) + epsilon;
  return deviation == 0 ? 0 : 1 / deviation;
}

/// The derivative of the deviation by sqrt(variance), over that with epsilon inside the root.
long double deviation_weight(const Problem& problem, long double variance) {
  if (problem.epsilon_placement == EpsilonPlacement::inside_root) return 1;
  const long double sigma = std::sqrt(variance);
  return sigma == 0 ? 0 : (sigma + problem.epsilon) / sigma;
}

long double kappa_factor_of(long double mean, long double variance) {
  return variance == 0 ? 1 : std::max(1.0L, std::fabs(mean) / std::sqrt(variance) / 1000);
}

long double sigmoid(long double z) { return 1 / (1 + std::exp(-z)); }

/// How far f moves where z moves by up to `by`.
long double spread(const Activation& activation, long double z, long double by) {
  const long double y = activated(activation, z);
  const long double ends =
      std::max(std::fabs(activated(activation, z + by) - y), std::fabs(activated(activation, z - by) - y));
  // SiLU's minimum may lie between the ends.
  return ends + (activation.kind == ActivationKind::silu ? by * by : 0);
}

bool is_smooth(const Activation& activation) {
  return activation.kind == ActivationKind::sigmoid || activation.kind == ActivationKind::tanh ||
         activation.kind == ActivationKind::silu;
}

/// How far the computed derivative may be off where z may be off by `by`.
long double derivative_error(const Activation& activation, long double z, long double by, long double ulp) {
  if (!is_smooth(activation)) return 0;
  const long double slope = std::fabs(derivative(activation, z));
  switch (activation.kind) {
    case ActivationKind::sigmoid:
      return 6 * ulp * slope + slope * by * (1 + by);
    case ActivationKind::tanh:
      return 6 * ulp * slope + 2 * slope * by * (1 + by);
    default:
      return 6 * ulp * std::max(slope, 0.25L) + 0.5L * by;
  }
}

long double inverse(const Activation& activation, long double y) {
  switch (activation.kind) {
    case ActivationKind::leaky_relu:
      return y > 0 ? y : y / activation.slope;
    case ActivationKind::sigmoid:
      return std::log(y / (1 - y));
    case ActivationKind::tanh:
      return std::atanh(y);
    default:
      return y;
  }
}

/// xhat and dz of each element, from which all gradients follow.
struct Factors {
  Bounded xhat;
  Bounded dz;
};

/// The batch's mean of xhat is 0 by definition: what rounding y has made of it is taken away.
void center(const Problem& problem, const FusedInputs& in, std::int64_t c, long double weight, Bounded& xhat) {
  Quad sum = 0, error = 0;
  for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t n) {
    if (weight_of(in, n) == 0) return;
    sum += Quad(weight_of(in, n)) * Quad(xhat.value[i]);
    error += Quad(weight_of(in, n)) * Quad(xhat.allowed[i]);
  });
  for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
    xhat.value[i] -= static_cast<long double>(sum / weight);
    xhat.allowed[i] += static_cast<long double>(error / weight);
  });
}

FusedGradients gradients_from(const Problem& problem, Statistics statistics, const FusedInputs& in,
                              const FusedStatistics& of, const Factors& factors) {
  const std::int64_t elements = shape_of(problem).elements();
  const long double ulp = ulp_of(problem);
  FusedGradients result{sized(elements), sized(problem.channels), sized(problem.channels), factors.dz};
  const Bounded& xhat = factors.xhat;
  const Bounded& dz = factors.dz;
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    Quad dbeta = 0, dbeta_size = 0, dbeta_error = 0, dgamma = 0, dgamma_size = 0, dgamma_error = 0;
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
      const Quad product = Quad(dz.value[i]) * Quad(xhat.value[i]);
      dbeta += dz.value[i];
      dbeta_size += std::fabs(dz.value[i]);
      dbeta_error += dz.allowed[i];
      dgamma += product;
      dgamma_size += product < 0 ? -product : product;
      if (dz.value[i] == 0 && dz.allowed[i] == 0) return;
      dgamma_error += dz.allowed[i] * std::fabs(xhat.value[i]) + std::fabs(dz.value[i]) * xhat.allowed[i];
    });
    result.dbeta.value[c] = static_cast<long double>(dbeta);
    result.dbeta.allowed[c] = static_cast<long double>(4 * ulp * dbeta_size + dbeta_error);
    result.dgamma.value[c] = static_cast<long double>(dgamma);
    result.dgamma.allowed[c] = static_cast<long double>(4 * ulp * dgamma_size + dgamma_error);

    const bool batch = statistics == Statistics::batch;
    const long double scale = std::fabs(gamma_of(in, c) * reciprocal_of(problem, of.variance[c]));
    const long double sign = gamma_of(in, c) < 0 ? -1 : 1;
    const long double along = deviation_weight(problem, of.variance[c]);
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t n) {
      const long double share = batch ? weight_of(in, n) / of.weight : 0;
      const long double mean = share * static_cast<long double>(dbeta);
      const long double per_xhat = share * static_cast<long double>(dgamma) * along;
      const long double along_xhat = batch ? xhat.value[i] * per_xhat : 0;
      result.dx.value[i] = sign * scale * (dz.value[i] - mean - along_xhat);
      const long double size = std::max({std::fabs(dz.value[i]), std::fabs(mean), std::fabs(along_xhat)});
      long double error = 8 * ulp * size + dz.allowed[i] + share * static_cast<long double>(dbeta_error);
      if (batch) {
        error += share * along * std::fabs(xhat.value[i]) * static_cast<long double>(dgamma_error);
        error += std::fabs(per_xhat) * xhat.allowed[i];
      }
      result.dx.allowed[i] = scale * error;
    });
  }
  return result;
}

}  // namespace

Shape shape_of(const Problem& problem) { return {problem.batch, problem.channels, problem.spatial}; }

std::string to_string(const Problem& problem) {
  std::string text = "mb" + std::to_string(problem.batch) + "ic" + std::to_string(problem.channels) + "iw" +
                     std::to_string(problem.spatial);
  for (const std::string_view part :
       {name(problem.layout), name(problem.source), name(problem.destination), name(problem.activation.kind)}) {
    text.append(" ").append(part);
  }
  if (problem.residual) text += " residual";
  if (problem.lengths) text += " lengths";
  if (problem.weights) text += " weights";
  if (problem.backward_from_output) text += " from_output";
  return text;
}

long double ulp_of(const Problem& problem) { return problem.source == DataType::f64 ? 0x1p-52L : 0x1p-23L; }

bool is_valid(const FusedInputs& in, std::int64_t n, std::int64_t s) { return in.lengths.empty() || s < in.lengths[n]; }

long double activated(const Activation& activation, long double z) {
  if (std::isnan(z)) return z;
  switch (activation.kind) {
    case ActivationKind::none:
      return z;
    case ActivationKind::relu:
      return std::max(z, 0.0L);
    case ActivationKind::leaky_relu:
      return z > 0 ? z : activation.slope * z;
    case ActivationKind::clipped_relu:
      return std::clamp(z, 0.0L, static_cast<long double>(activation.bound));
    case ActivationKind::sigmoid:
      return sigmoid(z);
    case ActivationKind::tanh:
      return std::tanh(z);
    case ActivationKind::silu:
      return z * sigmoid(z);
  }
  return 0;
}

long double derivative(const Activation& activation, long double z) {
  const long double s = sigmoid(z);
  switch (activation.kind) {
    case ActivationKind::none:
      return 1;
    case ActivationKind::relu:
      return z <= 0 ? 0 : 1;
    case ActivationKind::leaky_relu:
      return z <= 0 ? activation.slope : 1;
    case ActivationKind::clipped_relu:
      return z <= 0 || z >= activation.bound ? 0 : 1;
    case ActivationKind::sigmoid:
      return s * sigmoid(-z);
    case ActivationKind::tanh:
      return 4 * sigmoid(2 * z) * sigmoid(-2 * z);
    case ActivationKind::silu:
      return s * (1 + z * sigmoid(-z));
  }
  return 0;
}

FusedStatistics statistics_of(const Problem& problem, const FusedInputs& in) {
  FusedStatistics result{Reals(problem.channels), Reals(problem.channels)};
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    Quad weight = 0, sum = 0, squares = 0;
    result.count = 0;
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t n) {
      ++result.count;
      weight += weight_of(in, n);
      if (weight_of(in, n) != 0) sum += Quad(weight_of(in, n)) * Quad(in.x[i]);
    });
    const Quad mean = sum / weight;
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t n) {
      const Quad deviation = in.x[i] - mean;
      if (weight_of(in, n) != 0) squares += Quad(weight_of(in, n)) * deviation * deviation;
    });
    result.mean[c] = static_cast<long double>(mean);
    result.variance[c] = static_cast<long double>(squares / weight);
    result.weight = static_cast<long double>(weight);
  }
  return result;
}

Bounded bounded_mean(const Problem& problem, const FusedStatistics& of) {
  Bounded result{of.mean, Reals(of.mean.size())};
  for (std::size_t c = 0; c < of.mean.size(); ++c) {
    result.allowed[c] = 2 * ulp_of(problem) * std::max(std::fabs(of.mean[c]), std::sqrt(of.variance[c]));
  }
  return result;
}

Bounded bounded_variance(const Problem& problem, const FusedStatistics& of) {
  Bounded result{of.variance, Reals(of.mean.size())};
  for (std::size_t c = 0; c < of.mean.size(); ++c) {
    result.allowed[c] = 4 * ulp_of(problem) * of.variance[c] * kappa_factor_of(of.mean[c], of.variance[c]);
  }
  return result;
}

Bounded pre_activation(const Problem& problem, const FusedInputs& in, const FusedStatistics& of) {
  Bounded z = sized(shape_of(problem).elements());
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    const long double gamma = gamma_of(in, c);
    const long double beta = beta_of(in, c);
    const long double scale = gamma * reciprocal_of(problem, of.variance[c]);
    const long double allowed = 4 * ulp_of(problem) * kappa_factor_of(of.mean[c], of.variance[c]);
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
      const long double y = scale * (in.x[i] - of.mean[c]) + beta;
      z.value[i] = problem.residual ? y + in.residual[i] : y;
      z.allowed[i] = allowed * std::max({std::fabs(y), std::fabs(beta), std::fabs(gamma)});
      // The sum's own rounding.
      if (problem.residual) z.allowed[i] += ulp_of(problem) / 2 * (std::fabs(z.value[i]) + z.allowed[i]);
    });
  }
  return z;
}

Bounded forward_of(const Problem& problem, const FusedInputs& in, const Bounded& z) {
  const Activation& activation = problem.activation;
  const long double ulp = ulp_of(problem);
  Bounded y = sized(shape_of(problem).elements());
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
      y.value[i] = activated(activation, z.value[i]);
      y.allowed[i] = spread(activation, z.value[i], z.allowed[i]);
      if (is_smooth(activation)) y.allowed[i] += 4 * ulp * std::fabs(y.value[i]);
      if (activation.kind == ActivationKind::leaky_relu) y.allowed[i] += ulp * std::fabs(y.value[i]);
    });
  }
  return y;
}

FusedGradients gradients_of(const Problem& problem, Statistics statistics, const FusedInputs& in,
                            const FusedStatistics& of) {
  const std::int64_t elements = shape_of(problem).elements();
  const long double ulp = ulp_of(problem);
  const Bounded z = pre_activation(problem, in, of);
  Factors factors{sized(elements), sized(elements)};
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    const long double reciprocal = reciprocal_of(problem, of.variance[c]);
    // Of the saved mean, rounded.
    const long double mean_error = ulp * std::fabs(of.mean[c] * gamma_of(in, c) * reciprocal);
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
      const long double by = z.allowed[i] + mean_error;
      factors.xhat.value[i] = (in.x[i] - of.mean[c]) * reciprocal;
      factors.dz.value[i] = in.dy[i] * derivative(problem.activation, z.value[i]);
      factors.dz.allowed[i] =
          std::fabs(in.dy[i]) * derivative_error(problem.activation, z.value[i], by, ulp) +
          (problem.activation.kind == ActivationKind::none ? 0 : ulp * std::fabs(factors.dz.value[i]));
    });
  }
  return gradients_from(problem, statistics, in, of, factors);
}

FusedGradients gradients_of_output(const Problem& problem, Statistics statistics, const FusedInputs& in,
                                   const FusedStatistics& of) {
  const Activation& activation = problem.activation;
  const std::int64_t elements = shape_of(problem).elements();
  const long double ulp = ulp_of(problem);
  Factors factors{sized(elements), sized(elements)};
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    const long double gamma = gamma_of(in, c);
    const long double beta = beta_of(in, c);
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
      const long double z = inverse(activation, in.y[i]);
      const long double slope = activation.kind == ActivationKind::tanh      ? (1 - in.y[i]) * (1.0L + in.y[i])
                                : activation.kind == ActivationKind::sigmoid ? in.y[i] * (1.0L - in.y[i])
                                                                             : derivative(activation, z);
      factors.xhat.value[i] = (z - beta) / gamma;
      factors.xhat.allowed[i] = ulp * (8 * std::fabs(z) + 2 * std::fabs(beta)) / std::fabs(gamma);
      factors.dz.value[i] = in.dy[i] * slope;
      factors.dz.allowed[i] = activation.kind == ActivationKind::none ? 0 : 6 * ulp * std::fabs(factors.dz.value[i]);
    });
    if (statistics == Statistics::batch) center(problem, in, c, of.weight, factors.xhat);
  }
  return gradients_from(problem, statistics, in, of, factors);
}

std::vector<std::int64_t> saturated_of(const Problem& problem, const FusedInputs& in) {
  const int digits = problem.source == DataType::f64    ? 53
                     : problem.source == DataType::bf16 ? 8
                     : problem.source == DataType::f16  ? 11
                                                        : 24;
  const long double least = problem.source == DataType::f64   ? 0x1p-1022L
                            : problem.source == DataType::f16 ? 0x1p-14L
                                                              : 0x1p-126L;
  const long double near = std::ldexp(1.0L, -(digits / 2));
  std::vector<std::int64_t> counts(problem.channels);
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    for_each_valid(problem, in, c, [&](std::int64_t i, std::int64_t) {
      const long double y = in.y[i];
      if (problem.activation.kind == ActivationKind::sigmoid) counts[c] += 1 - y < near || y < least;
      if (problem.activation.kind == ActivationKind::tanh) counts[c] += 1 - std::fabs(y) < near;
    });
  }
  return counts;
}

testing::AssertionResult within_bounds(DataType type, const Doubles& actual, const Bounded& expected) {
  if (actual.size() != expected.value.size()) {
    return testing::AssertionFailure() << actual.size() << " values, expected " << expected.value.size();
  }
  const long double smallest = type == DataType::f64 ? 0x1p-1074L : 0x1p-149L;
  std::size_t wrong = 0, worst = 0;
  long double worst_ratio = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const long double value = expected.value[i];
    if (actual[i] == value || (std::isnan(actual[i]) && std::isnan(value))) continue;
    const long double allowed = expected.allowed[i] + smallest;
    if (std::fabs(actual[i] - value) <= allowed) continue;
    if (actual[i] >= rounded_to(type, value - allowed) && actual[i] <= rounded_to(type, value + allowed)) continue;
    ++wrong;
    const long double ratio = std::fabs(actual[i] - value) / allowed;
    if (ratio > worst_ratio || std::isnan(ratio)) {
      worst_ratio = ratio;
      worst = i;
    }
  }
  if (wrong == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << wrong << " of " << actual.size() << " values beyond the bounds; worst at "
                                     << worst << ": " << actual[worst] << ", expected "
                                     << static_cast<double>(expected.value[worst]) << " +- "
                                     << static_cast<double>(expected.allowed[worst]) << " rounded to " << name(type)
                                     << ", off by " << static_cast<double>(actual[worst] - expected.value[worst]);
}

}  // namespace xbn::test
