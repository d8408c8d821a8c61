#include "reference.hpp"

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

void add(long double& into, long double from) { into += from; }

template <class Real>
Statistics statistics_in(const Geometry& geometry, const Tensor& x) {
  using Wide = WideOf<Real>;
  const std::int64_t lanes = lanes_of(geometry);
  const auto count = static_cast<long double>(geometry.elements_per_channel());
  const auto sum = [&](const Piece& piece, Wide* __restrict sums) {
    const Elements<Real> values(x, piece);
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) { sums[lane] += values[i]; });
  };
  Statistics statistics;
  statistics.mean = reduce<Wide>(geometry, 1, sum, add)[0];
  for (long double& mean : statistics.mean) mean /= count;

  const std::vector<Wide> means = spread_over_lanes<Wide>(geometry, statistics.mean);
  const auto sum_deviations = [&](const Piece& piece, Wide* __restrict sums) {
    const Elements<Real> values(x, piece);
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const Wide deviation = values[i] - means[piece.block * lanes + lane];
      sums[lane] += deviation;
      sums[lanes + lane] += deviation * deviation;
    });
  };
  const std::vector<ChannelValues> deviations = reduce<Wide>(geometry, 2, sum_deviations, add);
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const long double lost = deviations[0][c] / count;
    statistics.mean[c] += lost;
    statistics.variance.push_back(std::max(0.0L, deviations[1][c] / count - lost * lost));
  }
  return statistics;
}

template <class Real>
void sum_gradients(const Case& test_case, const Geometry& geometry, const Tensors& tensors, Reference& reference) {
  using Wide = WideOf<Real>;
  const std::int64_t lanes = lanes_of(geometry);
  const std::vector<Wide> means = spread_over_lanes<Wide>(geometry, reference.statistics.mean);
  const std::vector<Wide> deviations = spread_over_lanes<Wide>(geometry, reference.reciprocal_deviation);
  const GradientOfZ<Real> gradient(test_case, geometry, tensors, reference);
  const auto accumulate = [&](const Piece& piece, Wide* __restrict sum) {
    const Elements<Real> x(tensors.x, piece), dy(tensors.dy, piece);
    const std::int64_t first_lane = piece.block * lanes;
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const std::int64_t p = first_lane + lane;
      const auto [dz, error] = gradient.at(piece.offset + i, p, x[i], dy[i]);
      const Wide xhat = (x[i] - means[p]) * deviations[p];
      sum[lane] += dz;
      sum[lanes + lane] += std::abs(dz);
      sum[2 * lanes + lane] += dz * xhat;
      sum[3 * lanes + lane] += std::abs(dz * xhat);
      sum[4 * lanes + lane] += error;
      sum[5 * lanes + lane] += error * std::abs(xhat);
    });
  };
  std::vector<ChannelValues> sums = reduce<Wide>(geometry, 6, accumulate, add);
  reference.sum_dz = std::move(sums[0]);
  reference.sum_abs_dz = std::move(sums[1]);
  reference.sum_dz_xhat = std::move(sums[2]);
  reference.sum_abs_dz_xhat = std::move(sums[3]);
  reference.sum_dz_error = std::move(sums[4]);
  reference.sum_dz_xhat_error = std::move(sums[5]);
  if constexpr (std::is_same_v<Real, float>) return;
  // Long double has eleven bits more than f64, of which sums that cancel take some.
  constexpr long double own_error = 0x1p-56L;
  for (std::size_t c = 0; c < reference.sum_dz.size(); ++c) {
    reference.sum_dz_error[c] += own_error * reference.sum_abs_dz[c];
    reference.sum_dz_xhat_error[c] += own_error * reference.sum_abs_dz_xhat[c];
  }
}

}  // namespace

double contract_ulp(const Case& test_case) {
  return test_case.types.parameters() == xbn::DataType::f64 ? 0x1p-52 : 0x1p-23;
}

Statistics batch_statistics(const Geometry& geometry, const Tensor& x) {
  return x.type == xbn::DataType::f64 ? statistics_in<double>(geometry, x) : statistics_in<float>(geometry, x);
}

Reference reference_of(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                       const Statistics& batch) {
  constexpr long double z_ulps = 4;
  Reference reference;
  reference.statistics = batch;
  Statistics& statistics = reference.statistics;
  for (std::int64_t c = 0; c < geometry.padded_channels(); ++c) {
    if (test_case.flags.given_statistics) {
      statistics.mean[c] = tensors.mean.get(c);
      statistics.variance[c] = tensors.variance.get(c);
    }
    const long double deviation = std::sqrt(statistics.variance[c] + test_case.shape.epsilon);
    const long double reciprocal = deviation > 0 ? 1 / deviation : 0;
    reference.reciprocal_deviation.push_back(reciprocal);
    reference.scale.push_back(tensors.gamma.get(c) * reciprocal);
    reference.shift.push_back(tensors.beta.get(c));
    // Worse in proportion where |mean| is more than a thousand times sigma.
    constexpr long double most = 1e30L;
    const long double sigma = std::sqrt(statistics.variance[c]), mean = std::abs(statistics.mean[c]);
    const long double worse = mean > 1e3L * sigma ? std::min(most, mean / sigma / 1e3L) : 1;
    reference.z_error.push_back(z_ulps * contract_ulp(test_case) * worse);
  }
  if (!test_case.backward()) return reference;
  if (test_case.types.parameters() == xbn::DataType::f64) {
    sum_gradients<double>(test_case, geometry, tensors, reference);
  } else {
    sum_gradients<float>(test_case, geometry, tensors, reference);
  }
  return reference;
}

template <class Real>
GradientOfZ<Real>::GradientOfZ(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                               const Reference& reference)
    : activation_(test_case.activation()),
      activated_(test_case.activated()),
      passed_(test_case.has_mask() ? tensors.passed : nullptr),
      ulp_(contract_ulp(test_case)),
      vanishing_(tensors.dy.type == xbn::DataType::f16 ? 0x1.01p-25 : 0),
      scales_(spread_over_lanes<Wide>(geometry, reference.scale)),
      shifts_(spread_over_lanes<Wide>(geometry, reference.shift)),
      relative_(spread_over_lanes<Wide>(geometry, reference.z_error)) {
  // Where a mask tells what passed, the derivative needs no z. Elsewhere backward's z is that of the mean it is given,
  // which is rounded.
  ChannelValues least, means;
  for (std::int64_t c = 0; c < geometry.padded_channels(); ++c) {
    least.push_back(std::max(std::abs(tensors.gamma.get(c)), std::abs(tensors.beta.get(c))));
  }
  for (std::int64_t c = 0; c < geometry.padded_channels(); ++c) means.push_back(tensors.mean.get(c));
  means_ = spread_over_lanes<Wide>(geometry, means);
  least_ = spread_over_lanes<Wide>(geometry, least);
}

template class GradientOfZ<float>;
template class GradientOfZ<double>;

}  // namespace bench
