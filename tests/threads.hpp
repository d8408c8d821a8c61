#pragma once

// Ways to run a call: on so many of TBB's threads, on other threads in another order, with denormals flushed.

#include <atomic>
#include <cstdint>
#include <functional>

#include "xbn/executor.hpp"

namespace xbn::test {

/// Runs the function in an arena of `threads` threads, all of which TBB may use.
void run_in_arena(int threads, const std::function<void()>& function);

/// The calling thread flushes denormal results to zero and takes denormal operands for zero while it lives.
class FlushToZero {
 public:
  FlushToZero();
  ~FlushToZero();
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  unsigned saved_;
};

/// Threads of its own, started for each loop, that take indices in an order of their own.
class ShufflingExecutor final : public Executor {
 public:
  explicit ShufflingExecutor(int threads) : threads_(threads) {}
  int concurrency() const override { return threads_; }
  void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const override;

 private:
  int threads_;
};

/// TBB's, but in its first loop of at least `threads` indices each thread waits until so many have come.
class GatheringExecutor final : public Executor {
 public:
  explicit GatheringExecutor(int threads) : threads_(threads) {}
  int concurrency() const override { return tbb_executor().concurrency(); }
  void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const override;

  /// How many threads ran a part of that loop; 0 where there was none.
  int gathered() const { return gathered_; }

 private:
  int threads_;
  mutable std::atomic<int> gathered_{0};
};

}  // namespace xbn::test
