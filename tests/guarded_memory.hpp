#pragma once

// Memory for the tests that ends where the next page cannot be touched.

#include <cstddef>

namespace xbn::test {

/// Floats that end at an inaccessible page, with a page or more of canaries before them. Every float begins as a
/// canary: a NaN whose payload tells its place.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t floats);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  float* data() const { return data_; }
  std::size_t size() const { return size_; }

  /// Whether element i is as it began; i may be negative, down to the first canary.
  bool is_canary(std::ptrdiff_t i) const;
  /// Whether all canaries before the first element are as they began.
  bool front_is_intact() const;

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace xbn::test
