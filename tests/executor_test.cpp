#include "xbn/executor.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <immintrin.h>
#include <mutex>
#include <set>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <thread>
#include <vector>

namespace xbn {
namespace {

using Body = std::function<void(std::int64_t)>;

void run(const Executor& executor, std::int64_t count, const Body& body) {
  executor.run(
      count, [](void* context, std::int64_t index) { (*static_cast<const Body*>(context))(index); },
      const_cast<Body*>(&body));
}

constexpr auto patience = std::chrono::seconds(20);

/// Holds each thread that arrives until `expected` have, or patience ends.
class Meeting {
 public:
  explicit Meeting(std::size_t expected) : expected_(expected) {}

  void join() {
    {
      const std::lock_guard lock(mutex_);
      threads_.insert(std::this_thread::get_id());
    }
    const auto end = std::chrono::steady_clock::now() + patience;
    while (size() < expected_ && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return threads_.size();
  }

 private:
  std::size_t expected_;
  mutable std::mutex mutex_;
  std::set<std::thread::id> threads_;
};

/// Lets `threads` threads run, in an arena of that size, and calls `call` in it.
void in_arena(int threads, const std::function<void()>& call) {
  const tbb::global_control allow(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  tbb::task_arena arena(threads);
  arena.execute(call);
}

class EveryExecutor : public testing::TestWithParam<const Executor*> {};

INSTANTIATE_TEST_SUITE_P(Executor, EveryExecutor, testing::Values(&tbb_executor(), &serial_executor()),
                         [](const auto& executor) { return executor.index == 0 ? "Tbb" : "Serial"; });

TEST_P(EveryExecutor, CallsEachIndexOnce) {
  for (const std::int64_t count : {0, 1, 2, 3, 7, 64, 1000, 100003}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count) + 1);
    run(*GetParam(), count, [&](std::int64_t index) { ++calls.at(static_cast<std::size_t>(index)); });
    for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(calls[static_cast<std::size_t>(i)], 1) << i << " of " << count;
    ASSERT_EQ(calls.back(), 0);
  }
}

TEST_P(EveryExecutor, CanUseAtLeastOneThread) { EXPECT_GE(GetParam()->concurrency(), 1); }

TEST(SerialExecutor, StaysOnTheCallingThreadInOrder) {
  EXPECT_EQ(serial_executor().concurrency(), 1);
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<std::int64_t> order;
  run(serial_executor(), 5, [&](std::int64_t index) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    order.push_back(index);
  });
  EXPECT_EQ(order, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
}

TEST(TbbExecutor, RunsOneIndexOnTheCallingThread) {
  const std::thread::id caller = std::this_thread::get_id();
  run(tbb_executor(), 1, [&](std::int64_t) { EXPECT_EQ(std::this_thread::get_id(), caller); });
}

TEST(TbbExecutor, UsesAllThreadsOfTheCallersArena) {
  for (const int threads : {1, 2, 7}) {
    in_arena(threads, [&] {
      EXPECT_EQ(tbb_executor().concurrency(), threads);
      Meeting meeting(static_cast<std::size_t>(threads));
      run(tbb_executor(), 4 * threads, [&](std::int64_t) { meeting.join(); });
      EXPECT_EQ(meeting.size(), static_cast<std::size_t>(threads));
    });
  }
}

TEST(TbbExecutor, CountsNoMoreThreadsThanAreAllowed) {
  const tbb::global_control allow(tbb::global_control::max_allowed_parallelism, 3);
  tbb::task_arena(7).execute([] { EXPECT_LE(tbb_executor().concurrency(), 3); });
}

/// Sets a floating-point mode, and takes it back.
class Mode {
 public:
  explicit Mode(unsigned bits) : before_(_mm_getcsr()) { _mm_setcsr(before_ | bits); }
  ~Mode() { _mm_setcsr(before_); }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

 private:
  unsigned before_;
};

constexpr unsigned flush_to_zero = 0x8000;
constexpr unsigned denormals_are_zero = 0x0040;
constexpr unsigned round_down = 0x2000;
constexpr unsigned exception_flags = 0x003f;

TEST(TbbExecutor, CarriesTheCallersFloatingPointModeIntoEveryThread) {
  constexpr int threads = 7;
  in_arena(threads, [] {
    // Back and forth, so that a worker that keeps the mode of an earlier loop is found out.
    for (const unsigned bits : {0U, flush_to_zero, denormals_are_zero, flush_to_zero | denormals_are_zero, round_down,
                                flush_to_zero | denormals_are_zero | round_down, 0U}) {
      const Mode mode(bits);
      const unsigned expected = _mm_getcsr() & ~exception_flags;
      Meeting meeting(threads);
      std::atomic<int> others{0};
      run(tbb_executor(), 4 * threads, [&](std::int64_t) {
        if ((_mm_getcsr() & ~exception_flags) != expected) ++others;
        meeting.join();
      });
      EXPECT_EQ(meeting.size(), static_cast<std::size_t>(threads));
      EXPECT_EQ(others, 0) << "mode " << bits;
      EXPECT_EQ(_mm_getcsr() & ~exception_flags, expected);
    }
  });
}

TEST(TbbExecutor, FinishesInsideAGroupThatIsCancelled) {
  in_arena(2, [] {
    constexpr std::int64_t count = 1000;
    std::atomic<std::int64_t> calls{0};
    tbb::task_group group;
    group.run_and_wait([&] {
      group.cancel();
      run(tbb_executor(), count, [&](std::int64_t) { ++calls; });
    });
    EXPECT_EQ(calls, count);
  });
}

// Without isolation, a thread that waits for the inner loop's other half takes up another index of the outer loop.
TEST(TbbExecutor, AWaitingThreadStartsNothingElse) {
  constexpr int threads = 4;
  in_arena(threads, [] {
    std::atomic<int> nested{0};
    tbb::parallel_for(0, 200, [&](int) {
      thread_local int depth = 0;
      if (++depth > 1) ++nested;
      run(tbb_executor(), 2 * threads,
          [](std::int64_t) { std::this_thread::sleep_for(std::chrono::microseconds(20)); });
      --depth;
    });
    EXPECT_EQ(nested, 0);
  });
}

TEST(DetectedCacheSizes, ArePlausibleAndAlwaysTheSame) {
  const CacheSizes sizes = detected_cache_sizes();
  EXPECT_GE(sizes.private_bytes, std::size_t{64} << 10);
  EXPECT_GE(sizes.shared_bytes, sizes.private_bytes);
  EXPECT_GE(sizes.likely_bytes, sizes.shared_bytes);
  EXPECT_LE(sizes.private_bytes, std::size_t{1} << 30);
  EXPECT_LE(sizes.shared_bytes, std::size_t{16} << 30);
  EXPECT_EQ(detected_cache_sizes().private_bytes, sizes.private_bytes);
  EXPECT_EQ(detected_cache_sizes().shared_bytes, sizes.shared_bytes);
}

}  // namespace
}  // namespace xbn
