#pragma once

/// Tensors filled for a case, and contenders checked on them.

#include <cstdint>
#include <optional>
#include <vector>

#include "contender.hpp"
#include "data.hpp"
#include "deviations.hpp"
#include "tensors.hpp"

namespace bench {

/// Backward reads what forward has kept.
inline bool reads_mask(const Case& test_case) { return test_case.backward() && test_case.has_mask(); }

class PreparedData {
 public:
  /// What the last case has left is used again where it fits.
  Tensors prepare(const Case& test_case, Data data);

  /// What a contender makes of the case that was prepared last, compared with a reference for what it has let pass in
  /// its own forward.
  std::vector<Deviation> deviations_of(Contender& contender, const Case& test_case, const Tensors& tensors) const;

 private:
  struct Content {
    Geometry geometry;
    xbn::DataType type;
    Data data;
    std::int64_t generation;

    bool operator==(const Content&) const = default;
  };

  Memory memory_{};
  std::optional<Content> content_of_x_{};
  std::optional<Content> content_of_dy_{};
  std::optional<Content> content_of_residual_{};
  Statistics statistics_{};
};

}  // namespace bench
