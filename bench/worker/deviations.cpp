#include "deviations.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "rounding.hpp"

namespace bench {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void keep_larger(long double& into, long double from) { into = std::max(into, from); }

/// |error| / unit: 0 where there is no error at all, infinite where it is NaN.
template <class Wide>
Wide in_units(Wide error, Wide unit) {
  const Wide fraction = error == 0 ? 0 : error / unit;
  return fraction == fraction ? fraction : std::numeric_limits<Wide>::infinity();
}

/// Maxima over the elements of a channel.
enum Maximum { in_ulp, in_bound, error, magnitude, maxima };

Deviation worst(std::string_view output, const std::vector<ChannelValues>& maximum) {
  Deviation deviation{output, 0, 0, 0};
  for (std::size_t c = 0; c < maximum[error].size(); ++c) {
    deviation.ulp = std::max(deviation.ulp, static_cast<double>(maximum[in_ulp][c]));
    deviation.of_bound = std::max(deviation.of_bound, static_cast<double>(maximum[in_bound][c]));
    const long double largest = maximum[magnitude][c];
    if (largest == 0) continue;
    deviation.relative = std::max(deviation.relative, static_cast<double>(in_units(maximum[error][c], largest)));
  }
  return deviation;
}

/// Takes elements of an output into the maxima of their lanes.
template <class Wide>
class Collector {
 public:
  Collector(xbn::DataType type, std::int64_t lanes) : rounding_(rounding_of(type)), lanes_(lanes) {}

  /// `s` is the magnitude that the contract names; `bound` what it allows before the result is stored.
  void take(Wide* __restrict lane_maximum, std::int64_t lane, Wide got, Wide expected, Wide s, Wide bound) const {
    expected = rounding_.saturated(expected);
    const Wide off = std::abs(got - expected);
    const auto keep = [&](Maximum which, Wide value) {
      Wide& kept = lane_maximum[which * lanes_ + lane];
      kept = std::max(kept, value);
    };
    const Wide ulp = rounding_.ulp > 0 ? static_cast<Wide>(rounding_.ulp) * s : Wide{1};
    keep(in_ulp, in_units(off, ulp));
    keep(in_bound, in_units(off, bound + rounding_.half(expected)));
    keep(error, off == off ? off : std::numeric_limits<Wide>::infinity());
    keep(magnitude, std::abs(expected));
  }

 private:
  Rounding rounding_;
  std::int64_t lanes_;
};

/// 1 where a channel is one of the tensor, 0 where it pads the last block.
ChannelValues live_channels(const Geometry& geometry) {
  ChannelValues live(static_cast<std::size_t>(geometry.padded_channels()));
  std::fill_n(live.begin(), geometry.channels, 1.0L);
  return live;
}

template <class Real>
Deviation y_deviation(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                      const Reference& reference) {
  using Wide = WideOf<Real>;
  const std::int64_t lanes = lanes_of(geometry);
  ChannelValues least_s;
  for (std::int64_t c = 0; c < geometry.padded_channels(); ++c) {
    least_s.push_back(std::max(std::abs(tensors.gamma.get(c)), std::abs(tensors.beta.get(c))));
  }
  const std::vector<Wide> means = spread_over_lanes<Wide>(geometry, reference.statistics.mean);
  const std::vector<Wide> scales = spread_over_lanes<Wide>(geometry, reference.scale);
  const std::vector<Wide> shifts = spread_over_lanes<Wide>(geometry, reference.shift);
  const std::vector<Wide> least = spread_over_lanes<Wide>(geometry, least_s);
  const std::vector<Wide> allowed = spread_over_lanes<Wide>(geometry, reference.z_error);
  const std::vector<Wide> live = spread_over_lanes<Wide>(geometry, live_channels(geometry));
  const ReferenceActivation<Wide> activation(test_case.activation());
  const Collector<Wide> collector(tensors.y.type, lanes);
  const Wide steepness = activation.steepness();
  const Wide of_computing = activation.transcendental() ? 4 * static_cast<Wide>(contract_ulp(test_case)) : 0;
  const auto accumulate = [&](const Piece& piece, Wide* __restrict lane_maximum) {
    const Elements<Real> x(tensors.x, piece), y(tensors.y, piece), residual(tensors.residual, piece);
    const std::int64_t first_lane = piece.block * lanes;
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const std::int64_t p = first_lane + lane;
      const Wide z = (x[i] - means[p]) * scales[p] + shifts[p] + residual[i];
      const Wide s = steepness * std::max(std::max(std::abs(z), std::abs(Wide{residual[i]})), least[p]);
      const Wide expected = live[p] != 0 ? activation.value(z) : Wide{0};
      collector.take(lane_maximum, lane, y[i], expected, s, allowed[p] * s + of_computing * std::abs(expected));
    });
  };
  return worst("y", reduce<Wide>(geometry, maxima, accumulate, keep_larger));
}

template <class Real>
Deviation dx_deviation(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                       const Reference& reference) {
  using Wide = WideOf<Real>;
  const std::int64_t lanes = lanes_of(geometry);
  const bool through_statistics = !test_case.flags.given_statistics;
  const auto count = static_cast<long double>(geometry.elements_per_channel());
  const std::size_t channels = reference.scale.size();
  ChannelValues mean_dz(channels), projection(channels), mean_error(channels), projection_error(channels);
  for (std::size_t c = 0; c < channels && through_statistics; ++c) {
    mean_dz[c] = reference.sum_dz[c] / count;
    projection[c] = reference.reciprocal_deviation[c] * reference.sum_dz_xhat[c] / count;
    mean_error[c] = reference.sum_dz_error[c] / count;
    projection_error[c] = reference.reciprocal_deviation[c] * reference.sum_dz_xhat_error[c] / count;
  }
  const std::vector<Wide> means = spread_over_lanes<Wide>(geometry, reference.statistics.mean);
  const std::vector<Wide> scales = spread_over_lanes<Wide>(geometry, reference.scale);
  const std::vector<Wide> mean_dzs = spread_over_lanes<Wide>(geometry, mean_dz);
  const std::vector<Wide> projections = spread_over_lanes<Wide>(geometry, projection);
  const std::vector<Wide> mean_errors = spread_over_lanes<Wide>(geometry, mean_error);
  const std::vector<Wide> projection_errors = spread_over_lanes<Wide>(geometry, projection_error);
  const GradientOfZ<Real> gradient(test_case, geometry, tensors, reference);
  const Collector<Wide> collector(tensors.dx.type, lanes);
  const auto eight_ulp = static_cast<Wide>(8 * contract_ulp(test_case));
  const auto accumulate = [&](const Piece& piece, Wide* __restrict lane_maximum) {
    const Elements<Real> x(tensors.x, piece), dy(tensors.dy, piece), dx(tensors.dx, piece);
    const std::int64_t first_lane = piece.block * lanes;
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const std::int64_t p = first_lane + lane;
      const auto [dz, dz_error] = gradient.at(piece.offset + i, p, x[i], dy[i]);
      const Wide deviation = x[i] - means[p];
      const Wide projected = deviation * projections[p];
      const Wide expected = scales[p] * (dz - mean_dzs[p] - projected);
      const Wide scale = std::abs(scales[p]);
      const Wide s = scale * std::max(std::max(std::abs(dz), std::abs(mean_dzs[p])), std::abs(projected));
      const Wide inherited = scale * (dz_error + mean_errors[p] + std::abs(deviation) * projection_errors[p]);
      collector.take(lane_maximum, lane, dx[i], expected, s, eight_ulp * s + inherited);
    });
  };
  return worst("dx", reduce<Wide>(geometry, maxima, accumulate, keep_larger));
}

/// dz itself.
template <class Real>
Deviation d_residual_deviation(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                               const Reference& reference) {
  using Wide = WideOf<Real>;
  const std::int64_t lanes = lanes_of(geometry);
  const GradientOfZ<Real> gradient(test_case, geometry, tensors, reference);
  const Collector<Wide> collector(tensors.d_residual.type, lanes);
  const auto ulp = static_cast<Wide>(contract_ulp(test_case));
  const auto accumulate = [&](const Piece& piece, Wide* __restrict lane_maximum) {
    const Elements<Real> x(tensors.x, piece), dy(tensors.dy, piece), got(tensors.d_residual, piece);
    for_each_element(piece, lanes, [&](std::int64_t i, std::int64_t lane) {
      const auto [dz, dz_error] = gradient.at(piece.offset + i, piece.block * lanes + lane, x[i], dy[i]);
      collector.take(lane_maximum, lane, got[i], dz, std::abs(dz), ulp * std::abs(dz) + dz_error);
    });
  };
  return worst("d_residual", reduce<Wide>(geometry, maxima, accumulate, keep_larger));
}

/// Of a per-channel output: `ulps` of `s`, and what the elements' uncertainties make of it.
Deviation channel_deviation(std::string_view output, std::int64_t channels, const Tensor& got,
                            const ChannelValues& expected, const ChannelValues& s, const ChannelValues& bound) {
  const Collector<long double> collector(got.type, channels);
  std::vector<long double> flat(static_cast<std::size_t>(maxima * channels));
  for (std::int64_t c = 0; c < channels; ++c) {
    collector.take(flat.data(), c, got.get(c), expected[c], s[c], bound[c]);
  }
  std::vector<ChannelValues> maximum;
  for (int which = 0; which < maxima; ++which) {
    maximum.emplace_back(flat.begin() + which * channels, flat.begin() + (which + 1) * channels);
  }
  return worst(output, maximum);
}

ChannelValues times(const ChannelValues& values, long double factor, const ChannelValues& more = {}) {
  ChannelValues product;
  for (std::size_t c = 0; c < values.size(); ++c) product.push_back(values[c] * factor + (more.empty() ? 0 : more[c]));
  return product;
}

void add_statistics(const Case& test_case, const Geometry& geometry, const Tensors& tensors, const Reference& reference,
                    std::vector<Deviation>& all) {
  const Statistics& statistics = reference.statistics;
  ChannelValues s_of_mean, s_of_variance, bound_of_variance;
  // Floats below the least normal one are as far apart as that one's neighbours.
  const long double least = test_case.types.parameters() == xbn::DataType::f64
                                ? std::numeric_limits<double>::min()
                                : static_cast<long double>(std::numeric_limits<float>::min());
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const long double variance = statistics.variance[c];
    s_of_mean.push_back(std::max(std::abs(statistics.mean[c]), std::sqrt(variance)));
    s_of_variance.push_back(variance > 0 ? std::max(variance, least) : 0);
    // Four ulp, and as much worse as y may be.
    bound_of_variance.push_back(s_of_variance.back() * reference.z_error[c]);
  }
  all.push_back(channel_deviation("mean", geometry.channels, tensors.out_mean, statistics.mean, s_of_mean,
                                  times(s_of_mean, 2 * contract_ulp(test_case))));
  all.push_back(channel_deviation("variance", geometry.channels, tensors.out_variance, statistics.variance,
                                  s_of_variance, bound_of_variance));
}

/// A bit is whether ReLU passed the element, which y tells, save where a little z became 0 as it was stored.
Deviation mask_deviation(const Geometry& geometry, const Tensors& tensors, const std::uint8_t* mask) {
  const bool planar = geometry.layout == xbn::Layout::ncx;
  const std::int64_t run = planar ? geometry.spatial : geometry.row;
  const std::int64_t run_bytes = (run + 7) / 8;
  const bool vanishes = tensors.y.type == xbn::DataType::f16 || tensors.y.type == xbn::DataType::bf16;
  std::atomic<std::int64_t> wrong{0};
  for_each_chunk(chunks_of(geometry), [&](const Chunk& chunk, std::size_t) {
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t, std::int64_t rows) {
      const Piece piece{chunk.block, offset, rows * geometry.row};
      const Elements<float> y(tensors.y, piece);
      std::int64_t wrong_here = 0;
      for (std::int64_t i = 0; i < piece.count; ++i) {
        const std::int64_t element = (offset + i) % run;
        const int bit = mask[(offset + i) / run * run_bytes + element / 8] >> (element % 8) & 1;
        const bool passed = !(y[i] <= 0);
        if (bit != static_cast<int>(passed) && !(bit == 1 && vanishes)) ++wrong_here;
      }
      wrong += wrong_here;
    });
  });
  const auto part = static_cast<double>(wrong) / static_cast<double>(geometry.elements());
  return {"mask", static_cast<double>(wrong), part, wrong > 0 ? infinity : 0};
}

template <class Real>
std::vector<Deviation> deviations_in(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                                     const Reference& reference, const std::uint8_t* mask) {
  std::vector<Deviation> all;
  if (!test_case.backward()) {
    all.push_back(y_deviation<Real>(test_case, geometry, tensors, reference));
    if (mask != nullptr) all.push_back(mask_deviation(geometry, tensors, mask));
    if (test_case.computes_statistics()) add_statistics(test_case, geometry, tensors, reference, all);
    return all;
  }
  all.push_back(dx_deviation<Real>(test_case, geometry, tensors, reference));
  if (test_case.flags.add_relu) {
    all.push_back(d_residual_deviation<Real>(test_case, geometry, tensors, reference));
  }
  const double four_ulp = 4 * contract_ulp(test_case);
  if (test_case.computes_dgamma()) {
    all.push_back(channel_deviation("dgamma", geometry.channels, tensors.dgamma, reference.sum_dz_xhat,
                                    reference.sum_abs_dz_xhat,
                                    times(reference.sum_abs_dz_xhat, four_ulp, reference.sum_dz_xhat_error)));
  }
  if (test_case.computes_dbeta()) {
    all.push_back(channel_deviation("dbeta", geometry.channels, tensors.dbeta, reference.sum_dz, reference.sum_abs_dz,
                                    times(reference.sum_abs_dz, four_ulp, reference.sum_dz_error)));
  }
  return all;
}

}  // namespace

std::vector<Deviation> deviations(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                                  const Reference& reference, const std::uint8_t* mask) {
  return test_case.types.parameters() == xbn::DataType::f64
             ? deviations_in<double>(test_case, geometry, tensors, reference, mask)
             : deviations_in<float>(test_case, geometry, tensors, reference, mask);
}

void note_what_passed(const Geometry& geometry, const Tensors& tensors) {
  for_each_chunk(chunks_of(geometry), [&](const Chunk& chunk, std::size_t) {
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t, std::int64_t rows) {
      const Piece piece{chunk.block, offset, rows * geometry.row};
      const Elements<float> y(tensors.y, piece);
      for (std::int64_t i = 0; i < piece.count; ++i) tensors.passed[offset + i] = !(y[i] <= 0);
    });
  });
}

}  // namespace bench
