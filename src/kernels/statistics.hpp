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
    // One element is its own pivot.
    const bool sound = m2 >= 0.5 * sum_squares[c] && (sum_squares[c] >= n * kVanishingSquare || count == 1) &&
                       is_finite(sum_squares[c]);
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
  const double divisor = unbiased ? args.count - 1 : args.count;
  for (Index c = 0; c < channels; ++c) {
    const auto old = static_cast<double>(args.running.variance[c]);
    args.running.variance[c] = static_cast<float>((1 - weight) * old + weight * (args.m2[c] / divisor));
  }
}

inline void finalise_forward(Index channels, const ForwardFinalise& args) {
  const double count = args.count;
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

// Numbers of 16 channels. Backward goes through them step by step, each a loop over arrays that nothing aliases, which
// the compiler vectorises; in one loop it does not, and roots and divisions are most of what a small tensor costs.
struct alignas(64) SixteenChannels {
  double of[kLanes];
};

template <class Compute>
inline SixteenChannels each(const Compute& compute) {
  SixteenChannels result;
  for (Index i = 0; i < kLanes; ++i) result.of[i] = compute(i);
  return result;
}

// `otherwise` where there are no values and behind the last of `count`.
template <class T>
inline SixteenChannels load(const T* values, Index first, Index count, double otherwise) {
  SixteenChannels result;
  if (values != nullptr && count == kLanes) {
    for (Index i = 0; i < kLanes; ++i) result.of[i] = static_cast<double>(values[first + i]);
    return result;
  }
  for (double& value : result.of) value = otherwise;
  if (values == nullptr) return result;
  for (Index i = 0; i < count; ++i) result.of[i] = static_cast<double>(values[first + i]);
  return result;
}

inline void store(const SixteenChannels& from, float* values, Index first, Index count) {
  if (values == nullptr) return;
  if (count == kLanes) {
    for (Index i = 0; i < kLanes; ++i) values[first + i] = static_cast<float>(from.of[i]);
  } else {
    for (Index i = 0; i < count; ++i) values[first + i] = static_cast<float>(from.of[i]);
  }
}

// With s the deviation that x - mean is divided by (1 / s = reciprocal_deviation) and d = x - mean:
//   dgamma = sum(dy d) / s,  dx = gamma / s (dy - mean(dy) - d mean(dy d) k),
// where k = (d s / d variance) 2 / s is 1 / s^2 with epsilon inside the root and 1 / (sigma s) outside it. The sums are
// about the rounded mean; x holds what rounding lost, so that d = (x - rounded) - mean(x - rounded).
[[gnu::flatten]] inline void finalise_backward(Index channels, const BackwardFinalise& args) {
  const bool batch = args.statistics == Statistics::batch;
  const bool inside = args.placement == EpsilonPlacement::inside_root;
  const double count = args.count > 0 ? args.count : 1;
  for (Index first = 0; first < channels; first += kLanes) {
    const Index n = channels - first < kLanes ? channels - first : kLanes;
    const SixteenChannels variance = load(args.variance, first, n, 1);
    const SixteenChannels gamma = load(args.gamma, first, n, 1);
    const SixteenChannels sum_dy = load(args.dy, first, n, 0);
    const SixteenChannels sum_x = load(batch ? args.x : nullptr, first, n, 0);
    const SixteenChannels about_rounded = load(args.dy_x, first, n, 0);
    const SixteenChannels deviation =
        each([&](Index i) { return reciprocal_deviation(variance.of[i], args.epsilon, args.placement); });
    const SixteenChannels scale = each([&](Index i) { return gamma.of[i] * deviation.of[i]; });
    const SixteenChannels lost = each([&](Index i) { return sum_x.of[i] / count; });
    const SixteenChannels sum_dy_x = each([&](Index i) { return about_rounded.of[i] - lost.of[i] * sum_dy.of[i]; });
    store(each([&](Index i) { return sum_dy_x.of[i] * deviation.of[i]; }), args.dgamma, first, n);
    store(sum_dy, args.dbeta, first, n);
    store(scale, args.a, first, n);
    if (args.b == nullptr) continue;
    const SixteenChannels curvature = each([&](Index i) {
      const double sigma = __builtin_sqrt(variance.of[i]);
      const double outside = deviation.of[i] / (sigma == 0 ? __builtin_inf() : sigma);
      return inside ? deviation.of[i] * deviation.of[i] : outside;
    });
    const SixteenChannels slope =
        each([&](Index i) { return batch ? -scale.of[i] * curvature.of[i] * (sum_dy_x.of[i] / count) : 0.0; });
    const SixteenChannels level =
        each([&](Index i) { return batch ? -scale.of[i] * (sum_dy.of[i] / count) - slope.of[i] * lost.of[i] : 0.0; });
    store(slope, args.b, first, n);
    store(level, args.c, first, n);
  }
}

}  // namespace
}  // namespace xbn::kernels
