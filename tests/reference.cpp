#include "reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace xbn::test {
namespace {

double gamma_of(const Values& gamma, std::int64_t c) { return gamma.empty() ? 1.0 : gamma[c]; }
double beta_of(const Values& beta, std::int64_t c) { return beta.empty() ? 0.0 : beta[c]; }

/// Calls visit(i) for the index i of each element of channel c.
template <typename Visit>
void for_each_of_channel(const Shape& shape, std::int64_t c, Visit visit) {
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    const std::int64_t plane = (n * shape.channels + c) * shape.spatial;
    for (std::int64_t s = 0; s < shape.spatial; ++s) visit(plane + s);
  }
}

Expected sized(std::int64_t elements) { return {Doubles(elements), Doubles(elements)}; }

/// How much one unit of the sum of dy * xhat weighs in dx: the derivative of the deviation by the variance, over that
/// of sqrt(variance + epsilon).
double deviation_weight(double variance, const Epsilon& epsilon) {
  if (epsilon.placement == EpsilonPlacement::inside_root) return 1;
  const double sigma = std::sqrt(variance);
  return sigma == 0 ? 0 : (sigma + epsilon.value) / sigma;
}

}  // namespace

Doubles widened(const Values& values) { return {values.begin(), values.end()}; }

ChannelStatistics batch_statistics(const Shape& shape, const Doubles& x) {
  ChannelStatistics batch{Doubles(shape.channels), Doubles(shape.channels)};
  const auto count = static_cast<long double>(shape.count());
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    long double sum = 0;
    for_each_of_channel(shape, c, [&](std::int64_t i) { sum += x[i]; });
    const long double mean = sum / count;
    long double m2 = 0;
    for_each_of_channel(shape, c, [&](std::int64_t i) { m2 += (x[i] - mean) * (x[i] - mean); });
    batch.mean[c] = static_cast<double>(mean);
    batch.variance[c] = static_cast<double>(m2 / count);
  }
  return batch;
}

double kappa_factor(double mean, double variance) {
  if (variance == 0) return 1;
  return std::max(1.0, std::fabs(mean) / std::sqrt(variance) / 1000);
}

Expected expected_mean(const ChannelStatistics& batch) {
  Expected expected{batch.mean, Doubles(batch.mean.size())};
  for (std::size_t c = 0; c < batch.mean.size(); ++c) {
    expected.scale[c] = std::max(std::fabs(batch.mean[c]), std::sqrt(batch.variance[c]));
  }
  return expected;
}

Expected expected_variance(const ChannelStatistics& batch) {
  Expected expected{batch.variance, batch.variance};
  for (std::size_t c = 0; c < batch.mean.size(); ++c) {
    expected.scale[c] *= kappa_factor(batch.mean[c], batch.variance[c]);
  }
  return expected;
}

double reciprocal_deviation(double variance, const Epsilon& epsilon) {
  if (variance < 0) return std::numeric_limits<double>::quiet_NaN();
  const double deviation = epsilon.placement == EpsilonPlacement::inside_root ? std::sqrt(variance + epsilon.value)
                                                                              : std::sqrt(variance) + epsilon.value;
  return deviation == 0 ? 0 : 1 / deviation;
}

Expected normalised(const Shape& shape, const Doubles& x, const ChannelStatistics& statistics,
                    const Parameters& parameters, const Epsilon& epsilon) {
  Expected y = sized(shape.elements());
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double gamma = gamma_of(parameters.gamma, c);
    const double beta = beta_of(parameters.beta, c);
    const double reciprocal = reciprocal_deviation(statistics.variance[c], epsilon);
    for_each_of_channel(shape, c, [&](std::int64_t i) {
      y.value[i] = gamma * ((x[i] - statistics.mean[c]) * reciprocal) + beta;
      y.scale[i] = std::max({std::fabs(y.value[i]), std::fabs(beta), std::fabs(gamma)});
    });
  }
  return y;
}

Expected normalised_by_batch(const Shape& shape, const Doubles& x, const ChannelStatistics& batch,
                             const Parameters& parameters, const Epsilon& epsilon) {
  Expected y = normalised(shape, x, batch, parameters, epsilon);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double factor = kappa_factor(batch.mean[c], batch.variance[c]);
    for_each_of_channel(shape, c, [&](std::int64_t i) { y.scale[i] *= factor; });
  }
  return y;
}

ExpectedGradients gradients(const Shape& shape, Statistics statistics, const Doubles& x, const Doubles& dy,
                            const Values& gamma, const ChannelStatistics& channel_statistics, const Epsilon& epsilon) {
  ExpectedGradients result{sized(shape.elements()), sized(shape.channels), sized(shape.channels)};
  const auto count = static_cast<double>(shape.count());
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double mean = channel_statistics.mean[c];
    const double reciprocal = reciprocal_deviation(channel_statistics.variance[c], epsilon);
    long double dbeta = 0, dbeta_scale = 0, dgamma = 0, dgamma_scale = 0;
    for_each_of_channel(shape, c, [&](std::int64_t i) {
      const double product = dy[i] * ((x[i] - mean) * reciprocal);
      dbeta += dy[i];
      dbeta_scale += std::fabs(dy[i]);
      dgamma += product;
      dgamma_scale += std::fabs(product);
    });
    result.dbeta.value[c] = static_cast<double>(dbeta);
    result.dbeta.scale[c] = static_cast<double>(dbeta_scale);
    result.dgamma.value[c] = static_cast<double>(dgamma);
    result.dgamma.scale[c] = static_cast<double>(dgamma_scale);

    const bool batch = statistics == Statistics::batch;
    const double scale = gamma_of(gamma, c) * reciprocal;
    const double dy_mean = batch ? result.dbeta.value[c] / count : 0;
    const double product_mean =
        batch ? result.dgamma.value[c] / count * deviation_weight(channel_statistics.variance[c], epsilon) : 0;
    for_each_of_channel(shape, c, [&](std::int64_t i) {
      const double along_xhat = batch ? (x[i] - mean) * reciprocal * product_mean : 0;
      result.dx.value[i] = scale * (dy[i] - dy_mean - along_xhat);
      result.dx.scale[i] = std::fabs(scale) * std::max({std::fabs(dy[i]), std::fabs(dy_mean), std::fabs(along_xhat)});
    });
  }
  return result;
}

}  // namespace xbn::test
