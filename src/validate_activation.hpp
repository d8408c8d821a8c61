#pragma once

#include <string_view>

#include "xbn/activation.hpp"

namespace xbn::internal {

/// Throws std::invalid_argument where a parameter of its kind is out of range.
void validate(const Activation& activation, std::string_view argument);

}  // namespace xbn::internal
