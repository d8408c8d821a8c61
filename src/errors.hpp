#pragma once

/// The one form in which bad input is refused: what the argument is called, what it must be and what it was.

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace xbn::internal {

inline std::string to_text(std::int64_t value) { return std::to_string(value); }

/// The shortest text that reads back as the same number, in any locale.
inline std::string to_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

[[noreturn, gnu::cold, gnu::noinline]] inline void reject(std::string_view argument, std::string_view requirement,
                                                          std::string_view found) {
  throw std::invalid_argument(
      std::string(argument).append(" must ").append(requirement).append(", was ").append(found));
}

}  // namespace xbn::internal
