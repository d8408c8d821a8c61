#include "measurement.hpp"

#include <algorithm>
#include <utility>

#include "median.hpp"

namespace bench {
namespace {

bool lower_ratio(const Measurement& a, const Measurement& b) {
  return std::pair(a.unimplemented(), a.ratio) < std::pair(b.unimplemented(), b.ratio);
}

}  // namespace

Measurement measurement_from(const nlohmann::json& answer, const std::string& onednn) {
  constexpr double microseconds = 1e6;
  const auto xbn = answer.at("xbn").get<std::vector<double>>();
  const auto opponent = answer.at("onednn").get<std::vector<double>>();
  const auto limit = answer.at("limit").get<std::vector<double>>();
  Measurement measurement;
  measurement.onednn = onednn;
  measurement.implementation = answer.at("implementation").get<std::string>();
  measurement.xbn_us = median(xbn) * microseconds;
  measurement.limit_us = median(limit) * microseconds;
  if (measurement.unimplemented()) return measurement;
  measurement.onednn_us = median(opponent) * microseconds;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < xbn.size(); ++i) ratios.push_back(opponent[i] / xbn[i]);
  measurement.ratio = median(ratios);
  measurement.ratio_min = *std::min_element(ratios.begin(), ratios.end());
  measurement.ratio_max = *std::max_element(ratios.begin(), ratios.end());
  return measurement;
}

Measurement median_by_ratio(std::vector<Measurement> measurements) {
  std::sort(measurements.begin(), measurements.end(), lower_ratio);
  return measurements[(measurements.size() - 1) / 2];
}

Measurement lowest_ratio(const std::vector<Measurement>& measurements) {
  return *std::min_element(measurements.begin(), measurements.end(), lower_ratio);
}

}  // namespace bench
