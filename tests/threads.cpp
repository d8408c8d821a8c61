#include "threads.hpp"

#include <algorithm>
#include <chrono>
#include <immintrin.h>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <thread>
#include <vector>

namespace xbn::test {

void run_in_arena(int threads, const std::function<void()>& function) {
  const tbb::global_control control(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  tbb::task_arena arena(threads);
  arena.execute(function);
}

FlushToZero::FlushToZero() : saved_(_mm_getcsr()) {
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  // Denormals are zero, bit 6.
  _mm_setcsr(_mm_getcsr() | 0x40u);
}

FlushToZero::~FlushToZero() { _mm_setcsr(saved_); }

void ShufflingExecutor::run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const {
  std::vector<std::int64_t> order(count);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(static_cast<std::uint64_t>(count)));
  std::atomic<std::int64_t> next{0};
  const unsigned modes = _mm_getcsr();
  std::vector<std::thread> threads;
  for (int i = 0; i < threads_; ++i) {
    threads.emplace_back([&] {
      _mm_setcsr(modes);
      for (std::int64_t taken = next++; taken < count; taken = next++) body(context, order[taken]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void GatheringExecutor::run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const {
  if (gathered_ != 0 || count < threads_) return tbb_executor().run(count, body, context);

  struct Gathering {
    void (*body)(void* context, std::int64_t index);
    void* context;
    int wanted;
    std::chrono::steady_clock::time_point deadline;
    std::mutex mutex;
    std::set<std::thread::id> threads;

    std::size_t arrive() {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      return threads.size();
    }
  };
  Gathering gathering{body, context, threads_, std::chrono::steady_clock::now() + std::chrono::seconds(60), {}, {}};
  const auto wait_then_run = [](void* opaque, std::int64_t index) {
    auto& here = *static_cast<Gathering*>(opaque);
    while (here.arrive() < static_cast<std::size_t>(here.wanted) && std::chrono::steady_clock::now() < here.deadline) {
      std::this_thread::yield();
    }
    here.body(here.context, index);
  };
  tbb_executor().run(count, wait_then_run, &gathering);
  gathered_ = static_cast<int>(gathering.threads.size());
}

}  // namespace xbn::test
