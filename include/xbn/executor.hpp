#pragma once

/// How the library gets its threads, and the caches for which it plans.

#include <cstddef>
#include <cstdint>

namespace xbn {

/// Runs the parallel loops of a call. Implement it to run xbn on a thread pool of your own; results are the same bits
/// on any executor. Must outlive the objects that use it, and be safe to use from all threads that call them.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Threads that a loop started now by the calling thread could use, at least 1. A hint for splitting work.
  virtual int concurrency() const = 0;

  /// Calls body(context, i) once for each i in [0, count), in any order, concurrently or not, and returns when all have
  /// returned. Equal indices of consecutive loops should run on the same thread where that costs nothing. A body may
  /// wait for others that have begun, never for one that has not: one that has begun must not be held up until another
  /// returns. A thread that waits here must not start another call of the library meanwhile. Bodies do not throw, and
  /// rely on the caller's floating-point environment (rounding, flush-to-zero) in every thread.
  virtual void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const = 0;
};

/// TBB, inside the calling thread's task arena. The default.
const Executor& tbb_executor();

/// The calling thread alone.
const Executor& serial_executor();

/// What the plan knows of the machine. Affects speed only, never results.
struct CacheSizes {
  std::size_t private_bytes = 0;  ///< The cache that a core has to itself (L2).
  std::size_t shared_bytes = 0;   ///< What one process can count on of the last-level cache.
  std::size_t likely_bytes = 0;   ///< What it has of it while others leave it alone. Less than shared_bytes: no more.
};

/// This machine's, read once. A last-level cache too large to belong to this machine's cores alone is taken to be
/// shared with others: no more of it than the private caches together can be counted on, and a third of it is likely.
CacheSizes detected_cache_sizes();

}  // namespace xbn
