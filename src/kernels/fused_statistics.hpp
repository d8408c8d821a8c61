#pragma once

// What is computed once a channel of fused problems: in double for f32, as statistics.hpp does it, and in two doubles
// for f64.

#include "kernels/double_double.hpp"
#include "kernels/statistics.hpp"

namespace xbn::kernels {
namespace {

template <class A, class Real>
struct FusedStatistics {
  using W = Wide<Real>;
  static constexpr bool kAsPlain = std::is_same_v<Real, float>;

  static W wide(double value) { return as_wide<W>(value); }
  static Real narrow(const W& value) { return static_cast<Real>(nearest(value)); }
  static W at_or(const Real* values, Index channel, double otherwise) {
    return wide(values != nullptr ? static_cast<double>(values[channel]) : otherwise);
  }

  // Chan, Golub, LeVeque.
  static void merge_moments(Index channels, double into_count, const WideMoments<Real>& into, double from_count,
                            double weight, const WideMoments<Real>& from) {
    const W share = wide(from_count) / (wide(into_count) + wide(from_count));
    const W cross = wide(into_count) * share;
    for (Index c = 0; c < channels; ++c) {
      const W delta = from.mean[c] - into.mean[c];
      into.mean[c] = into.mean[c] + delta * share;
      into.m2[c] = into.m2[c] + (from.m2[c] * wide(weight) + delta * delta * cross);
    }
  }

  static void scale(Index channels, W* values, double factor) {
    for (Index c = 0; c < channels; ++c) values[c] = values[c] * wide(factor);
  }

  static void add(Index channels, W* into, const W* from) {
    for (Index c = 0; c < channels; ++c) into[c] = into[c] + from[c];
  }

  // 1 / sqrt(variance + epsilon) or 1 / (sqrt(variance) + epsilon): see reciprocal_deviation.hpp.
  static W reciprocal_deviation(const W& variance, double epsilon, EpsilonPlacement placement) {
    if (nearest(variance) < 0) return wide(__builtin_nan(""));
    const bool inside = placement == EpsilonPlacement::inside_root;
    const W deviation = inside ? root_of(variance + wide(epsilon)) : root_of(variance) + wide(epsilon);
    return nearest(deviation) == 0 ? wide(0) : wide(1) / deviation;
  }

  static void update_running(Index channels, const WideForwardFinalise<Real>& args) {
    const RunningUpdate& update = args.running.update;
    const W taken = wide(update.batch_weight);
    const W kept = wide(1) - taken;
    const bool unbiased = update.estimate == VarianceEstimate::unbiased;
    const W divisor = wide(unbiased ? args.count - 1 : args.count);
    for (Index c = 0; c < channels; ++c) {
      Real& mean = args.running.mean[c];
      mean = narrow(kept * as_wide<W>(mean) + taken * args.moments.mean[c]);
      if (nearest(divisor) == 0) continue;
      Real& variance = args.running.variance[c];
      variance = narrow(kept * as_wide<W>(variance) + taken * (args.moments.m2[c] / divisor));
    }
  }

  static void finalise_forward(Index channels, const WideForwardFinalise<Real>& args) {
    if constexpr (kAsPlain) {
      kernels::finalise_forward<A>(channels,
                                   {args.count, args.moments.mean, args.moments.m2, args.gamma, args.beta, args.epsilon,
                                    args.placement, args.mean, args.variance, args.scale, args.shift, args.running});
    } else {
      for (Index c = 0; c < channels; ++c) {
        const W& mean = args.moments.mean[c];
        const W variance = args.moments.m2[c] / wide(args.count);
        const W scale = at_or(args.gamma, c, 1) * reciprocal_deviation(variance, args.epsilon, args.placement);
        const Real rounded = narrow(mean);
        args.mean[c] = rounded;
        args.variance[c] = narrow(variance);
        args.scale[c] = narrow(scale);
        args.shift[c] = narrow(at_or(args.beta, c, 0) - (mean - as_wide<W>(rounded)) * scale);
      }
      if (args.running.mean != nullptr) update_running(channels, args);
    }
  }

  static void finalise_given(Index channels, const WideGivenFinalise<Real>& args) {
    if constexpr (kAsPlain) {
      kernels::finalise_given(
          channels, {args.variance, args.gamma, args.beta, args.epsilon, args.placement, args.scale, args.shift});
    } else {
      for (Index c = 0; c < channels; ++c) {
        const W deviation = reciprocal_deviation(as_wide<W>(args.variance[c]), args.epsilon, args.placement);
        args.scale[c] = narrow(at_or(args.gamma, c, 1) * deviation);
        args.shift[c] = args.beta != nullptr ? args.beta[c] : Real{0};
      }
    }
  }

  // See finalise_backward in statistics.hpp for the formulas. Sums about beta of z = gamma * xhat + beta become those
  // of x about its mean: x - mean = (z - beta) * s / gamma, with s the deviation.
  static void finalise_backward(Index channels, const WideBackwardFinalise<Real>& args) {
    if constexpr (kAsPlain) {
      if (!args.x_per_gamma) {
        return kernels::finalise_backward<A>(
            channels, {args.count, args.statistics, args.sums.dz, args.sums.dz_x, args.sums.x, args.gamma,
                       args.variance, args.epsilon, args.placement, args.dgamma, args.dbeta, args.a, args.b, args.c});
      }
    }
    const bool batch = args.statistics == Statistics::batch;
    const W count = wide(args.count > 0 ? args.count : 1);
    for (Index c = 0; c < channels; ++c) {
      const W gamma = at_or(args.gamma, c, 1);
      const W variance = as_wide<W>(args.variance[c]);
      const W deviation = reciprocal_deviation(variance, args.epsilon, args.placement);
      const W scale = gamma * deviation;
      const W unit = args.x_per_gamma ? wide(1) / scale : wide(1);
      const W sum_dz = args.sums.dz != nullptr ? args.sums.dz[c] : wide(0);
      const W lost = batch && args.sums.x != nullptr ? args.sums.x[c] * unit / count : wide(0);
      const W about_rounded = args.sums.dz_x != nullptr ? args.sums.dz_x[c] * unit : wide(0);
      const W sum_dz_x = about_rounded - lost * sum_dz;
      if (args.dgamma != nullptr) args.dgamma[c] = narrow(sum_dz_x * deviation);
      if (args.dbeta != nullptr) args.dbeta[c] = narrow(sum_dz);
      if (args.a == nullptr) continue;
      args.a[c] = narrow(scale);
      W slope = wide(0);
      W level = wide(0);
      if (batch) {
        slope = wide(0) - curvature(variance, deviation, args.placement) * (sum_dz_x / count);
        level = wide(0) - sum_dz / count - slope * lost;
      }
      args.b[c] = narrow(slope * unit);
      args.c[c] = narrow(level);
    }
  }

 private:
  // (d s / d variance) 2 / s.
  static W curvature(const W& variance, const W& deviation, EpsilonPlacement placement) {
    if (placement == EpsilonPlacement::inside_root) return deviation * deviation;
    const W sigma = root_of(variance);
    return nearest(sigma) == 0 ? wide(0) : deviation / sigma;
  }
};

}  // namespace
}  // namespace xbn::kernels
