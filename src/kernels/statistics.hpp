#pragma once

// What is computed once a channel: the end of a tile, merging, finalising. Plain loops over channels in double, which
// the compiler vectorises; nothing here depends on how wide.

#include "kernels/kernel_table.hpp"
#include "reciprocal_deviation.hpp"

namespace xbn::kernels {
namespace {

inline float at_or(const float* values, Index channel, float otherwise) {
  return values != nullptr ? values[channel] : otherwise;
}

inline bool is_finite(double value) { return __builtin_fabs(value) <= __DBL_MAX__; }

// Below this a mean square has lost bits to f32's subnormal numbers.
inline constexpr double kVanishingSquare = 0x1p-100;

// Sums about a pivot to mean and M2. Returns whether any channel must be done again in double, and which: where the
// pivot lies more than a standard deviation off the mean, so that the difference of sums would cancel; where single
// precision overflowed; and where squares vanished.
inline bool finish_moments(Index channels, Index count, const float* pivot, const double* sum,
                           const double* sum_squares, const MomentsOut& out, unsigned char* again) {
  const auto n = static_cast<double>(count);
  int any = 0;
  for (Index c = 0; c < channels; ++c) {
    const double offset = sum[c] / n;
    const double m2 = sum_squares[c] - sum[c] * offset;
    out.mean[c] = static_cast<double>(pivot[c]) + offset;
    out.m2[c] = m2;
    const bool sound =
        m2 >= 0.5 * sum_squares[c] && sum_squares[c] >= n * kVanishingSquare && is_finite(sum_squares[c]);
    again[c] = sound ? 0 : 1;
    any |= again[c];
  }
  return any != 0;
}

// Chan, Golub, LeVeque.
inline void merge_moments(Index channels, Index into_count, const MomentsOut& into, Index from_count,
                          const MomentsOut& from) {
  const auto a = static_cast<double>(into_count);
  const auto b = static_cast<double>(from_count);
  const double weight = b / (a + b);
  const double cross = a * weight;
  for (Index c = 0; c < channels; ++c) {
    const double delta = from.mean[c] - into.mean[c];
    into.mean[c] += delta * weight;
    into.m2[c] += from.m2[c] + delta * delta * cross;
  }
}

inline void add(Index channels, double* into, const double* from) {
  for (Index c = 0; c < channels; ++c) into[c] += from[c];
}

inline void update_running(Index channels, const ForwardFinalise& args) {
  const RunningUpdate& update = args.running.update;
  const double weight = update.batch_weight;
  for (Index c = 0; c < channels; ++c) {
    const auto old = static_cast<double>(args.running.mean[c]);
    args.running.mean[c] = static_cast<float>((1 - weight) * old + weight * args.mean[c]);
  }
  const bool unbiased = update.estimate == VarianceEstimate::unbiased;
  if (unbiased && args.count == 1) return;
  const auto divisor = static_cast<double>(unbiased ? args.count - 1 : args.count);
  for (Index c = 0; c < channels; ++c) {
    const auto old = static_cast<double>(args.running.variance[c]);
    args.running.variance[c] = static_cast<float>((1 - weight) * old + weight * (args.m2[c] / divisor));
  }
}

inline void finalise_forward(Index channels, const ForwardFinalise& args) {
  const auto count = static_cast<double>(args.count);
  if (args.mean_out != nullptr) {
    for (Index c = 0; c < channels; ++c) args.mean_out[c] = static_cast<float>(args.mean[c]);
  }
  if (args.variance_out != nullptr) {
    for (Index c = 0; c < channels; ++c) args.variance_out[c] = static_cast<float>(args.m2[c] / count);
  }
  if (args.scale != nullptr) {
    for (Index c = 0; c < channels; ++c) {
      const double deviation = reciprocal_deviation(args.m2[c] / count, args.epsilon, args.placement);
      const double scale = static_cast<double>(at_or(args.gamma, c, 1.0F)) * deviation;
      const double lost = args.mean[c] - static_cast<double>(static_cast<float>(args.mean[c]));
      args.scale[c] = static_cast<float>(scale);
      args.shift[c] = static_cast<float>(static_cast<double>(at_or(args.beta, c, 0.0F)) - lost * scale);
    }
  }
  if (args.running.mean != nullptr) update_running(channels, args);
}

inline void finalise_given(Index channels, const GivenFinalise& args) {
  for (Index c = 0; c < channels; ++c) {
    const double deviation = reciprocal_deviation(static_cast<double>(args.variance[c]), args.epsilon, args.placement);
    args.scale[c] = static_cast<float>(static_cast<double>(at_or(args.gamma, c, 1.0F)) * deviation);
    args.shift[c] = at_or(args.beta, c, 0.0F);
  }
}

// With s the deviation that x - mean is divided by (1 / s = reciprocal_deviation) and d = x - mean:
//   dgamma = sum(dy d) / s,  dx = gamma / s (dy - mean(dy) - d mean(dy d) k),
// where k = (d s / d variance) 2 / s is 1 / s^2 with epsilon inside the root and 1 / (sigma s) outside it. The sums are
// about the rounded mean; x holds what rounding lost, so that d = (x - rounded) - mean(x - rounded).
inline void finalise_backward(Index channels, const BackwardFinalise& args) {
  const bool batch = args.statistics == Statistics::batch;
  const auto count = static_cast<double>(args.count == 0 ? 1 : args.count);
  for (Index c = 0; c < channels; ++c) {
    const auto variance = static_cast<double>(args.variance[c]);
    const double deviation = reciprocal_deviation(variance, args.epsilon, args.placement);
    const double scale = static_cast<double>(at_or(args.gamma, c, 1.0F)) * deviation;
    const double sum_dy = args.dy != nullptr ? args.dy[c] : 0.0;
    const double lost = batch && args.x != nullptr ? args.x[c] / count : 0.0;
    const double sum_dy_x = (args.dy_x != nullptr ? args.dy_x[c] : 0.0) - (batch ? lost * sum_dy : 0.0);
    if (args.dgamma != nullptr) args.dgamma[c] = static_cast<float>(sum_dy_x * deviation);
    if (args.dbeta != nullptr) args.dbeta[c] = static_cast<float>(sum_dy);
    if (args.a == nullptr) continue;
    args.a[c] = static_cast<float>(scale);
    if (args.b == nullptr) continue;
    const double sigma = __builtin_sqrt(variance);
    const double outside = sigma == 0 ? 0.0 : deviation / sigma;
    const double curvature = args.placement == EpsilonPlacement::inside_root ? deviation * deviation : outside;
    const double slope = batch ? -scale * curvature * (sum_dy_x / count) : 0.0;
    args.b[c] = static_cast<float>(slope);
    args.c[c] = static_cast<float>(batch ? -scale * (sum_dy / count) - slope * lost : 0.0);
  }
}

}  // namespace
}  // namespace xbn::kernels
