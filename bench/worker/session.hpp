#pragma once

/// What a worker does with a case.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "data.hpp"
#include "reference.hpp"
#include "tensors.hpp"

namespace bench {

class Session {
 public:
  /// Times xbn, oneDNN and the memory limit: {"implementation", "failures": [text...], "xbn", "onednn", "limit":
  /// [seconds...]}. With `verify`, checks both results first, and times nothing if there are failures.
  nlohmann::json compare(const Case& test_case, int repetitions, bool verify);

  /// Errors on random and adversarial data: {"implementation", "results": [{"data", "xbn", "onednn": [{"output", "ulp",
  /// "relative", "of_bound"}...]}...]}.
  nlohmann::json parity(const Case& test_case);

 private:
  struct Content {
    Geometry geometry;
    Data data;
    std::int64_t generation;

    bool operator==(const Content&) const = default;
  };

  Tensors prepare(const Case& test_case, Data data);

  Memory memory_{};
  std::optional<Content> content_of_x_{};
  std::optional<Content> content_of_dy_{};
  Statistics statistics_{};
};

}  // namespace bench
