#include "team.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "threads.hpp"

namespace xbn::internal {
namespace {

using test::ShufflingExecutor;

/// Runs indices one after the other, the last first.
class BackwardExecutor final : public Executor {
 public:
  int concurrency() const override { return 1; }
  void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const override {
    while (count-- > 0) body(context, count);
  }
};

/// A thread for each index, and some of them late.
class LateExecutor final : public Executor {
 public:
  int concurrency() const override { return 4; }
  void run(std::int64_t count, void (*body)(void* context, std::int64_t index), void* context) const override {
    std::vector<std::thread> threads;
    for (std::int64_t index = 0; index < count; ++index) {
      threads.emplace_back([=] {
        std::this_thread::sleep_for(std::chrono::microseconds(index % 2 * 300));
        body(context, index);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

struct NamedExecutor {
  const char* name;
  std::shared_ptr<const Executor> executor;
};

class TeamTest : public testing::TestWithParam<NamedExecutor> {
 protected:
  const Executor& executor() const { return *GetParam().executor; }
};

INSTANTIATE_TEST_SUITE_P(Team, TeamTest,
                         testing::Values(NamedExecutor{"Tbb", {&tbb_executor(), [](const Executor*) {}}},
                                         NamedExecutor{"Serial", {&serial_executor(), [](const Executor*) {}}},
                                         NamedExecutor{"Backward", std::make_shared<BackwardExecutor>()},
                                         NamedExecutor{"Late", std::make_shared<LateExecutor>()},
                                         NamedExecutor{"FewThreads", std::make_shared<ShufflingExecutor>(2)},
                                         NamedExecutor{"ManyThreads", std::make_shared<ShufflingExecutor>(9)}),
                         [](const auto& named) { return named.param.name; });

TEST_P(TeamTest, LoopsCoverTheirRangeOnce) {
  for (const std::int64_t threads : {0, 1, 2, 3, 8, 300}) {
    for (const std::int64_t count : {0, 1, 2, 5, 1000}) {
      std::vector<std::atomic<int>> first_loop(static_cast<std::size_t>(count) + 1);
      std::vector<std::atomic<int>> second_loop(static_cast<std::size_t>(count) + 1);
      const auto mark = [](std::vector<std::atomic<int>>& calls, std::int64_t first, std::int64_t last) {
        EXPECT_LT(first, last);
        for (std::int64_t i = first; i < last; ++i) ++calls.at(static_cast<std::size_t>(i));
      };
      as_team(executor(), threads, [&](Member& member) {
        member.loop(count, [&](std::int64_t first, std::int64_t last) { mark(first_loop, first, last); });
        member.loop(count, [&](std::int64_t first, std::int64_t last) { mark(second_loop, first, last); });
      });
      for (const std::vector<std::atomic<int>>* calls : {&first_loop, &second_loop}) {
        for (std::int64_t i = 0; i < count; ++i) {
          ASSERT_EQ((*calls)[static_cast<std::size_t>(i)], 1) << i << " of " << count << ", " << threads << " threads";
        }
        ASSERT_EQ(calls->back(), 0);
      }
    }
  }
}

/// What a loop has written, however its shares fell to threads, the next one reads: plain memory, and nothing of a loop
/// before all of the one before.
TEST_P(TeamTest, LoopsFollowEachOther) {
  constexpr std::int64_t count = 64;
  constexpr int rounds = 200;
  for (const std::int64_t threads : {1, 2, 4, 7}) {
    std::vector<std::int64_t> values(count, 0);
    std::int64_t sum = 0;
    int wrong = 0;
    as_team(executor(), threads, [&](Member& member) {
      for (int round = 0; round < rounds; ++round) {
        member.loop(count, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = first; i < last; ++i) values[static_cast<std::size_t>(i)] += sum + i;
        });
        member.once([&] {
          const std::int64_t before = sum;
          sum = std::accumulate(values.begin(), values.end(), std::int64_t{0}) % 1000;
          std::int64_t expected = 0;
          for (std::int64_t i = 0; i < count; ++i) expected += before + i;
          if (std::accumulate(values.begin(), values.end(), std::int64_t{0}) != expected) ++wrong;
        });
        // As shares of another size, so that other threads read and write what the first loop did.
        member.loop(count / 2, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = 2 * first; i < 2 * last; ++i) values[static_cast<std::size_t>(i)] = 0;
        });
      }
    });
    EXPECT_EQ(wrong, 0) << threads << " threads";
  }
}

TEST_P(TeamTest, WorkIsDoneOnce) {
  for (const std::int64_t threads : {1, 2, 5}) {
    int calls = 0;
    as_team(executor(), threads, [&](Member& member) {
      for (int i = 0; i < 1000; ++i) member.once([&] { ++calls; });
    });
    EXPECT_EQ(calls, 1000) << threads << " threads";
  }
}

TEST(Team, HasAtMostAsManySharesAsItCanCount) {
  EXPECT_EQ(Team(3).shares(), 3);
  EXPECT_EQ(Team(Team::kMostShares + 1).shares(), Team::kMostShares);
}

}  // namespace
}  // namespace xbn::internal
