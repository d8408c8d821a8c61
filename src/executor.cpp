#include "xbn/executor.hpp"

#include <algorithm>
#include <cstddef>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

namespace xbn {
namespace {

class SerialExecutor final : public Executor {
 public:
  int concurrency() const override { return 1; }

  void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const override {
    for (std::int64_t i = 0; i < count; ++i) body(context, i);
  }
};

class TbbExecutor final : public Executor {
 public:
  // An arena does not know of a global_control that allows it fewer threads.
  int concurrency() const override {
    const std::size_t allowed = tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
    const auto in_arena = static_cast<std::size_t>(std::max(tbb::this_task_arena::max_concurrency(), 1));
    return static_cast<int>(std::max<std::size_t>(std::min(allowed, in_arena), 1));
  }

  void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const override {
    if (count <= 1) return serial_executor().run(count, body, context);
    using Range = tbb::blocked_range<std::int64_t>;
    const auto run_range = [=](const Range& range) {
      for (std::int64_t i = range.begin(); i != range.end(); ++i) body(context, i);
    };
    // Isolated from the caller's group of tasks, whose cancellation would leave the loop unfinished. Workers take over
    // the rounding and flush-to-zero mode that the context finds here.
    tbb::task_group_context group(tbb::task_group_context::isolated,
                                  tbb::task_group_context::default_traits | tbb::task_group_context::fp_settings);
    // The static partitioner sends equal parts of equal ranges to the same threads.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(Range(0, count), run_range, tbb::static_partitioner(), group); });
  }
};

}  // namespace

const Executor& tbb_executor() {
  static const TbbExecutor executor;
  return executor;
}

const Executor& serial_executor() {
  static const SerialExecutor executor;
  return executor;
}

}  // namespace xbn
