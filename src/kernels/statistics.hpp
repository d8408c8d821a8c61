#pragma once

// What is computed once a channel, in double: the end of a tile, merging, finalising. The result does not depend on how
// many channels are computed at a time.

#include "kernels/pack_bits.hpp"
#include "reciprocal_deviation.hpp"

namespace xbn::kernels {
namespace {

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
    // Divided, so that a mean that is a number is exactly that: next to 0 it would leave a shift that is subnormal,
    // which makes every operation that it enters slow.
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

// Numbers of 16 channels from `first` on, of which there are `count`; `otherwise` where there are no values.
template <class A>
inline DoubleLanes<A> numbers(const float* values, Index first, Index count, double otherwise) {
  return values != nullptr ? widen(Lanes<A>::load_first(values + first, count)) : DoubleLanes<A>::all(otherwise);
}

template <class A>
inline DoubleLanes<A> numbers(const double* values, Index first, Index count) {
  return values != nullptr ? DoubleLanes<A>::load_first(values + first, count) : DoubleLanes<A>::all(0);
}

// Rounded; nowhere if there is nowhere to store them.
template <class A>
inline void store(const DoubleLanes<A>& from, float* values, Index first, Index count) {
  if (values != nullptr) narrow(from).store_first(values + first, count);
}

// As that of one channel, in reciprocal_deviation.hpp.
template <class A>
inline DoubleLanes<A> reciprocal_deviation(const DoubleLanes<A>& variance, double epsilon, EpsilonPlacement placement) {
  using D = DoubleLanes<A>;
  const bool inside = placement == EpsilonPlacement::inside_root;
  const D zero = D::all(0);
  const D radicand = select(less(variance, zero), D::all(__builtin_nan("")), variance + D::all(inside ? epsilon : 0));
  const D deviation = sqrt(radicand) + D::all(inside ? 0 : epsilon);
  return select(not_less_equal(deviation, zero), D::all(1) / deviation, zero);
}

// Roots and divisions are much of what a small tensor costs: 16 channels at a time, which compilers see to only where
// the loop is as short as that of finalise_given, and no division by what all channels have.
template <class A>
[[gnu::flatten]] inline void finalise_forward(Index channels, const ForwardFinalise& args) {
  using D = DoubleLanes<A>;
  const D one_of_count = D::all(1 / args.count);
  for (Index first = 0; first < channels; first += kLanes) {
    const Index n = channels - first < kLanes ? channels - first : kLanes;
    const D mean = numbers<A>(args.mean, first, n);
    const D variance = numbers<A>(args.m2, first, n) * one_of_count;
    store<A>(mean, args.mean_out, first, n);
    store<A>(variance, args.variance_out, first, n);
    if (args.scale == nullptr) continue;
    const D scale =
        numbers<A>(args.gamma, first, n, 1) * reciprocal_deviation<A>(variance, args.epsilon, args.placement);
    const D lost = mean - widen(narrow(mean));
    store<A>(scale, args.scale, first, n);
    store<A>(numbers<A>(args.beta, first, n, 0) - lost * scale, args.shift, first, n);
  }
  if (args.running.mean != nullptr) update_running(channels, args);
}

inline void finalise_given(Index channels, const GivenFinalise& args) {
  for (Index c = 0; c < channels; ++c) {
    const double deviation =
        xbn::reciprocal_deviation(static_cast<double>(args.variance[c]), args.epsilon, args.placement);
    const double gamma = args.gamma != nullptr ? static_cast<double>(args.gamma[c]) : 1.0;
    args.scale[c] = static_cast<float>(gamma * deviation);
    args.shift[c] = args.beta != nullptr ? args.beta[c] : 0.0F;
  }
}

// With s the deviation that x - mean is divided by (1 / s = reciprocal_deviation) and d = x - mean:
//   dgamma = sum(dy d) / s,  dx = gamma / s (dy - mean(dy) - d mean(dy d) k) = a (dy + b d + c),
// where k = (d s / d variance) 2 / s is 1 / s^2 with epsilon inside the root and 1 / (sigma s) outside it. The sums are
// about the rounded mean; x holds what rounding lost, so that d = (x - rounded) - mean(x - rounded).
template <class A>
[[gnu::flatten]] inline void finalise_backward(Index channels, const BackwardFinalise& args) {
  using D = DoubleLanes<A>;
  const bool batch = args.statistics == Statistics::batch;
  const bool inside = args.placement == EpsilonPlacement::inside_root;
  const D zero = D::all(0);
  const D one_of_count = D::all(args.count > 0 ? 1 / args.count : 1);
  for (Index first = 0; first < channels; first += kLanes) {
    const Index n = channels - first < kLanes ? channels - first : kLanes;
    const D variance = numbers<A>(args.variance, first, n, 1);
    const D deviation = reciprocal_deviation<A>(variance, args.epsilon, args.placement);
    const D scale = numbers<A>(args.gamma, first, n, 1) * deviation;
    const D sum_dy = numbers<A>(args.dy, first, n);
    const D lost = batch ? numbers<A>(args.x, first, n) * one_of_count : zero;
    const D sum_dy_x = numbers<A>(args.dy_x, first, n) - lost * sum_dy;
    store<A>(sum_dy_x * deviation, args.dgamma, first, n);
    store<A>(sum_dy, args.dbeta, first, n);
    store<A>(scale, args.a, first, n);
    if (args.b == nullptr) continue;
    D slope = zero;
    D level = zero;
    if (batch) {
      D curvature = deviation * deviation;
      if (!inside) {
        const D sigma = sqrt(variance);
        curvature = select(not_less_equal(sigma, zero), deviation / sigma, zero);
      }
      slope = zero - curvature * (sum_dy_x * one_of_count);
      level = zero - sum_dy * one_of_count - slope * lost;
    }
    store<A>(slope, args.b, first, n);
    store<A>(level, args.c, first, n);
  }
}

}  // namespace
}  // namespace xbn::kernels
