#pragma once

#include <functional>
#include <stdexcept>
#include <string>

namespace xbn::test {

/// What the std::invalid_argument says that `call` throws.
inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace xbn::test
