#pragma once

// Legal calls of which one argument is spoiled at a time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::test {

/// The memory of a tensor of f32.
inline float* floats(const Input& tensor) { return static_cast<float*>(const_cast<void*>(tensor.data)); }
inline float* floats(const Output& tensor) { return static_cast<float*>(tensor.data); }

/// One block of memory for all arguments of a call, which knows whether any of it was written.
class Arena {
 public:
  Arena() : values_(8192) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = 1 + static_cast<double>(i % 7);
  }

  float* floats(std::size_t count) { return reinterpret_cast<float*>(doubles((count + 1) / 2)); }

  double* doubles(std::size_t count) {
    double* first = values_.data() + used_;
    used_ += count + 1;
    EXPECT_LE(used_, values_.size());
    return first;
  }

  std::vector<double> contents() const { return values_; }

 private:
  std::vector<double> values_;
  std::size_t used_ = 0;
};

/// What a spoiled argument is called and what it was.
template <typename Args>
struct Spoiled {
  std::function<void(Args&)> spoil;
  std::string argument;
  std::string found;
};

template <typename Args>
void expect_refused(const std::function<void(const Args&)>& call, const Args& legal, const Arena& arena,
                    const std::vector<Spoiled<Args>>& cases) {
  const std::vector<double> before = arena.contents();
  for (const Spoiled<Args>& spoiled : cases) {
    Args args = legal;
    spoiled.spoil(args);
    const std::string message = message_of([&] { call(args); });
    EXPECT_EQ(message.find(spoiled.argument + " must "), 0U) << message;
    const std::string end = ", was " + spoiled.found;
    ASSERT_GE(message.size(), end.size());
    EXPECT_EQ(message.substr(message.size() - end.size()), end) << message;
    EXPECT_EQ(arena.contents(), before) << "memory was touched before: " << message;
  }
  EXPECT_NO_THROW(call(legal));
}

inline constexpr std::int64_t batch = 2, channels = 20, spatial = 6;
inline constexpr std::size_t elements = 2 * 32 * 6;

/// A valid problem in a layout, and memory for its calls.
struct Setting {
  explicit Setting(Layout layout, std::int64_t batch_ = batch)
      : problem{layout, batch_, channels, layout == Layout::nc ? 1 : spatial}, object(problem) {}

  float* tensor() { return arena.floats(elements); }
  float* array() { return arena.floats(channels); }
  double* double_array() { return arena.doubles(channels); }

  Scratch scratch() {
    const std::size_t bytes = object.scratch_bytes();
    return {arena.doubles(bytes / sizeof(double) + 1), bytes};
  }

  Problem problem;
  BatchNorm object;
  Arena arena;
};

}  // namespace xbn::test
