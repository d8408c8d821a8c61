#pragma once

/// Times of one case as a worker took them, and what is made of several.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bench {

struct Measurement {
  std::string onednn{};          ///< which oneDNN
  std::string implementation{};  ///< and which of its implementations
  double xbn_us = 0;             ///< medians of the repetitions
  double onednn_us = 0;
  double limit_us = 0;
  double ratio = 0;  ///< oneDNN's time by xbn's: the median over the interleaved repetitions, and their extremes
  double ratio_min = 0;
  double ratio_max = 0;

  /// Whether oneDNN does not have the case: there is then no time of its, and no ratio.
  bool unimplemented() const { return implementation == "unimplemented"; }
  /// Whether oneDNN fell to its reference code, which proves nothing about either.
  bool reference_code() const { return implementation.starts_with("ref"); }
};

/// From a worker's answer.
Measurement measurement_from(const nlohmann::json& answer, const std::string& onednn);

/// The one whose ratio is the median; of an even number, the lower of the two in the middle.
Measurement median_by_ratio(std::vector<Measurement> measurements);

/// The one whose ratio is the lowest; of those without a ratio only where there is no other.
Measurement lowest_ratio(const std::vector<Measurement>& measurements);

}  // namespace bench
