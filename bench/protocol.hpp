#pragma once

/// Cases as front-end and workers exchange them, and as reports name them: {"problem", "name", "dir", "dt", "tag",
/// "flags", "attr-post-ops"}.

#include <nlohmann/json.hpp>

#include "cases.hpp"

namespace bench {

nlohmann::json to_json(const Case& test_case);
Case case_from_json(const nlohmann::json& json);

}  // namespace bench
