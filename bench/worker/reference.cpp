#include "reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lanes.hpp"

namespace bench {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double ulp = 1.0 / (1 << 23);

void add(double& into, double from) { into += from; }

void keep_larger(double& into, double from) { into = std::max(into, from); }

/// |error| / s: 0 where there is no error at all, infinite where it is NaN.
double in_magnitudes(double error, double magnitude) {
  const double fraction = error == 0 ? 0 : error / magnitude;
  return fraction == fraction ? fraction : infinity;
}

/// Maxima over the elements of a channel.
enum Maximum { error_in_s, error, magnitude, maxima };

Deviation worst(std::string_view output, const std::vector<std::vector<double>>& maximum,
                const std::vector<double>& bound_in_ulp) {
  Deviation deviation{output, 0, 0, 0};
  for (std::size_t c = 0; c < bound_in_ulp.size(); ++c) {
    const double in_ulp = maximum[error_in_s][c] / ulp;
    deviation.ulp = std::max(deviation.ulp, in_ulp);
    const double largest = maximum[magnitude][c];
    if (largest > 0) deviation.relative = std::max(deviation.relative, in_magnitudes(maximum[error][c], largest));
    deviation.of_bound = std::max(deviation.of_bound, in_magnitudes(in_ulp, bound_in_ulp[c]));
  }
  return deviation;
}

/// Bounds of `ulps`, larger in proportion where |mean| is more than a thousand times sigma.
std::vector<double> bound_by_kappa(double ulps, const Statistics& statistics) {
  std::vector<double> bound;
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const double deviation = std::sqrt(statistics.variance[c]);
    const double mean = std::abs(statistics.mean[c]);
    bound.push_back(mean > 1e3 * deviation ? ulps * (mean / deviation / 1e3) : ulps);
  }
  return bound;
}

/// Of a per-channel output.
Deviation channel_deviation(std::string_view output, std::int64_t channels, const float* got,
                            const std::vector<double>& expected, const std::vector<double>& s,
                            const std::vector<double>& bound) {
  std::vector<std::vector<double>> maximum(maxima, std::vector<double>(bound.size()));
  for (std::int64_t c = 0; c < channels; ++c) {
    maximum[error][c] = std::abs(double{got[c]} - expected[c]);
    maximum[error_in_s][c] = in_magnitudes(maximum[error][c], s[c]);
    maximum[magnitude][c] = std::abs(expected[c]);
  }
  return worst(output, maximum, bound);
}

Deviation y_deviation(const Geometry& geometry, const Tensors& tensors, const Reference& reference) {
  const std::int64_t lanes = lanes_of(geometry);
  std::vector<double> shift(reference.scale.size()), least_s(reference.scale.size());
  for (std::int64_t c = 0; c < geometry.channels; ++c) {
    shift[c] = tensors.beta[c];
    least_s[c] = std::max(std::abs(shift[c]), std::abs(double{tensors.gamma[c]}));
  }
  const std::vector<double> means = spread_over_lanes(geometry, reference.statistics.mean);
  const std::vector<double> scales = spread_over_lanes(geometry, reference.scale);
  const std::vector<double> shifts = spread_over_lanes(geometry, shift);
  const std::vector<double> least = spread_over_lanes(geometry, least_s);
  const auto accumulate = [&](const Piece& piece, double* __restrict lane_maximum) {
    const float* const x = tensors.x + piece.offset;
    const float* const y = tensors.out + piece.offset;
    const std::int64_t first_lane = piece.block * lanes;
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const std::int64_t p = first_lane + lane;
      const double expected = (x[i] - means[p]) * scales[p] + shifts[p];
      const double off = std::abs(y[i] - expected);
      keep_larger(lane_maximum[lane], in_magnitudes(off, std::max(std::abs(expected), least[p])));
      keep_larger(lane_maximum[lanes + lane], off);
      keep_larger(lane_maximum[2 * lanes + lane], std::abs(expected));
    });
  };
  return worst("y", reduce(geometry, maxima, accumulate, keep_larger), bound_by_kappa(4, reference.statistics));
}

Deviation dx_deviation(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                       const Reference& reference) {
  const std::int64_t lanes = lanes_of(geometry);
  const bool through_statistics = !test_case.flags.given_statistics;
  const auto count = static_cast<double>(geometry.elements_per_channel());
  std::vector<double> mean_dy(reference.scale.size()), projection(reference.scale.size());
  for (std::int64_t c = 0; c < geometry.channels && through_statistics; ++c) {
    mean_dy[c] = reference.sum_dy[c] / count;
    projection[c] = reference.reciprocal_deviation[c] * reference.sum_dy_xhat[c] / count;
  }
  const std::vector<double> means = spread_over_lanes(geometry, reference.statistics.mean);
  const std::vector<double> scales = spread_over_lanes(geometry, reference.scale);
  const std::vector<double> mean_dys = spread_over_lanes(geometry, mean_dy);
  const std::vector<double> projections = spread_over_lanes(geometry, projection);
  const auto accumulate = [&](const Piece& piece, double* __restrict lane_maximum) {
    const float* const x = tensors.x + piece.offset;
    const float* const dy = tensors.dy + piece.offset;
    const float* const dx = tensors.out + piece.offset;
    const std::int64_t first_lane = piece.block * lanes;
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const std::int64_t p = first_lane + lane;
      const double projected = (x[i] - means[p]) * projections[p];
      const double expected = scales[p] * (dy[i] - mean_dys[p] - projected);
      const double off = std::abs(dx[i] - expected);
      const double largest = std::max(std::max(std::abs(double{dy[i]}), std::abs(mean_dys[p])), std::abs(projected));
      keep_larger(lane_maximum[lane], in_magnitudes(off, std::abs(scales[p]) * largest));
      keep_larger(lane_maximum[lanes + lane], off);
      keep_larger(lane_maximum[2 * lanes + lane], std::abs(expected));
    });
  };
  return worst("dx", reduce(geometry, maxima, accumulate, keep_larger), std::vector<double>(mean_dy.size(), 8.0));
}

void sum_gradients(const Geometry& geometry, const Tensors& tensors, Reference& reference) {
  const std::int64_t lanes = lanes_of(geometry);
  const std::vector<double> means = spread_over_lanes(geometry, reference.statistics.mean);
  const std::vector<double> deviations = spread_over_lanes(geometry, reference.reciprocal_deviation);
  const auto accumulate = [&](const Piece& piece, double* __restrict sum) {
    const float* const x = tensors.x + piece.offset;
    const float* const dy = tensors.dy + piece.offset;
    const std::int64_t first_lane = piece.block * lanes;
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const double gradient = dy[i];
      const double product = gradient * (x[i] - means[first_lane + lane]) * deviations[first_lane + lane];
      sum[lane] += gradient;
      sum[lanes + lane] += std::abs(gradient);
      sum[2 * lanes + lane] += product;
      sum[3 * lanes + lane] += std::abs(product);
    });
  };
  std::vector<std::vector<double>> sums = reduce(geometry, 4, accumulate, add);
  reference.sum_dy = std::move(sums[0]);
  reference.sum_abs_dy = std::move(sums[1]);
  reference.sum_dy_xhat = std::move(sums[2]);
  reference.sum_abs_dy_xhat = std::move(sums[3]);
}

}  // namespace

Statistics batch_statistics(const Geometry& geometry, const float* x) {
  const std::int64_t lanes = lanes_of(geometry);
  const auto count = static_cast<double>(geometry.elements_per_channel());
  const auto sum = [&](const Piece& piece, double* __restrict sums) {
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) { sums[lane] += x[piece.offset + i]; });
  };
  Statistics statistics;
  statistics.mean = reduce(geometry, 1, sum, add)[0];
  for (double& mean : statistics.mean) mean /= count;

  const std::vector<double> means = spread_over_lanes(geometry, statistics.mean);
  const auto sum_deviations = [&](const Piece& piece, double* __restrict sums) {
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const double deviation = x[piece.offset + i] - means[piece.block * lanes + lane];
      sums[lane] += deviation;
      sums[lanes + lane] += deviation * deviation;
    });
  };
  const std::vector<std::vector<double>> deviations = reduce(geometry, 2, sum_deviations, add);
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const double lost = deviations[0][c] / count;
    statistics.mean[c] += lost;
    statistics.variance.push_back(std::max(0.0, deviations[1][c] / count - lost * lost));
  }
  return statistics;
}

Reference reference_of(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                       const Statistics& batch) {
  Reference reference;
  const std::int64_t channels = geometry.padded_channels();
  if (test_case.flags.given_statistics) {
    reference.statistics.mean.assign(tensors.mean, tensors.mean + channels);
    reference.statistics.variance.assign(tensors.variance, tensors.variance + channels);
  } else {
    reference.statistics = batch;
  }
  for (std::int64_t c = 0; c < channels; ++c) {
    const double deviation = std::sqrt(reference.statistics.variance[c] + test_case.shape.epsilon);
    const double reciprocal = deviation > 0 ? 1 / deviation : 0;
    reference.reciprocal_deviation.push_back(reciprocal);
    reference.scale.push_back(tensors.gamma[c] * reciprocal);
  }
  if (test_case.backward()) sum_gradients(geometry, tensors, reference);
  return reference;
}

std::vector<Deviation> deviations(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                                  const Reference& reference) {
  const Statistics& statistics = reference.statistics;
  const auto everywhere = [&](double bound) { return std::vector<double>(statistics.mean.size(), bound); };
  std::vector<Deviation> all;
  if (test_case.backward()) {
    all.push_back(dx_deviation(test_case, geometry, tensors, reference));
  } else {
    all.push_back(y_deviation(geometry, tensors, reference));
  }
  if (test_case.computes_statistics()) {
    std::vector<double> s_of_mean;
    for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
      s_of_mean.push_back(std::max(std::abs(statistics.mean[c]), std::sqrt(statistics.variance[c])));
    }
    all.push_back(
        channel_deviation("mean", geometry.channels, tensors.out_mean, statistics.mean, s_of_mean, everywhere(2)));
    // Floats below the least normal one are as far apart as that one's neighbours.
    std::vector<double> s_of_variance = statistics.variance;
    for (double& s : s_of_variance) s = s > 0 ? std::max(s, double{std::numeric_limits<float>::min()}) : 0;
    all.push_back(channel_deviation("variance", geometry.channels, tensors.out_variance, statistics.variance,
                                    s_of_variance, bound_by_kappa(4, statistics)));
  }
  if (test_case.computes_dgamma()) {
    all.push_back(channel_deviation("dgamma", geometry.channels, tensors.dgamma, reference.sum_dy_xhat,
                                    reference.sum_abs_dy_xhat, everywhere(4)));
  }
  if (test_case.computes_dbeta()) {
    all.push_back(channel_deviation("dbeta", geometry.channels, tensors.dbeta, reference.sum_dy, reference.sum_abs_dy,
                                    everywhere(4)));
  }
  return all;
}

}  // namespace bench
