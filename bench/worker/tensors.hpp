#pragma once

/// The memory that both libraries work on, allocated once and reused from case to case.

#include <cstdint>
#include <memory>
#include <vector>

#include "geometry.hpp"

namespace bench {

/// A contender's view of a case. Per-channel arrays have the padded number of channels.
struct Tensors {
  float* x = nullptr;
  float* dy = nullptr;   ///< backward
  float* out = nullptr;  ///< y or dx
  float* gamma = nullptr;
  float* beta = nullptr;
  float* mean = nullptr;          ///< given, or of the batch, for all but forward training
  float* variance = nullptr;      ///< likewise
  float* out_mean = nullptr;      ///< of forward training
  float* out_variance = nullptr;  ///< likewise
  float* dgamma = nullptr;
  float* dbeta = nullptr;
};

/// Tensors that begin at a cache line, each at another distance from a page's start: stores then do not collide with
/// loads whose addresses end in the same 12 bits.
class Memory {
 public:
  /// Room for the case. Throws std::runtime_error where the machine has not that much memory left. Contents are kept
  /// while no tensor has to grow.
  Tensors tensors_for(const Case& test_case);

  /// How often the tensors had to grow, and so lost their contents.
  std::int64_t generation() const { return generation_; }

 private:
  struct Free {
    void operator()(float* data) const;
  };

  float* big_tensor(int index) const;

  static constexpr int big_tensors = 3;
  std::unique_ptr<float, Free> big_[big_tensors];
  std::unique_ptr<float, Free> channel_arrays_;
  std::int64_t big_elements_[big_tensors] = {0, 0, 0};
  std::int64_t channels_ = 0;
  std::int64_t generation_ = 0;
};

/// Overwrites what the case writes with NaN, in parallel: an element that a contender leaves out then shows. Also gives
/// fresh pages to the threads of this arena.
void poison_outputs(const Geometry& geometry, const Tensors& tensors);

}  // namespace bench
