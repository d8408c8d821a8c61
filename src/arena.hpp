#pragma once

#include <cstdint>

#include "plan.hpp"

namespace xbn::internal {

// Hands out arrays of one piece of memory, each aligned to a cache line.
class Arena {
 public:
  explicit Arena(void* memory) : address_(reinterpret_cast<std::uintptr_t>(memory)) {}

  template <class T>
  T* take(Index count) {
    constexpr std::uintptr_t kLine = 64;
    address_ = (address_ + kLine - 1) / kLine * kLine;
    T* result = reinterpret_cast<T*>(address_);
    address_ += static_cast<std::uintptr_t>(count) * sizeof(T);
    return result;
  }

  std::uintptr_t address() const { return address_; }

 private:
  std::uintptr_t address_;
};

}  // namespace xbn::internal
