#pragma once

/// What a worker does with a case.

#include <nlohmann/json.hpp>

#include "prepared_data.hpp"

namespace bench {

class Session {
 public:
  /// Times xbn, oneDNN and the memory limit: {"implementation", "failures": [text...], "xbn", "onednn", "limit":
  /// [seconds...]}. With `verify`, checks both results first, and times nothing if there are failures. Where oneDNN
  /// does not have the case, "implementation" is "unimplemented" and "onednn" empty.
  nlohmann::json compare(const Case& test_case, int repetitions, bool verify);

  /// Errors on random and adversarial data: {"implementation", "results": [{"data", "xbn", "onednn": [{"output", "ulp",
  /// "relative", "of_bound"}...]}...]}; likewise.
  nlohmann::json parity(const Case& test_case);

 private:
  PreparedData data_{};
};

}  // namespace bench
