// When slabs overlap, when an apply pass fetches the next one, and how they fit into the caches. Results depend on none
// of it.

#include "plan.hpp"

#include <gtest/gtest.h>

namespace xbn::internal {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20;
// A core's own cache, what can be counted on of the last one, and what is likely of it.
constexpr CacheSizes kDesktop{kMebibyte, 32 * kMebibyte, 32 * kMebibyte};
constexpr CacheSizes kVirtual{2 * kMebibyte, 4 * kMebibyte, 160 * kMebibyte};

constexpr Traffic kTraining{1, true, true};
constexpr Traffic kHalfTraining{1, true, true, 2, false};
constexpr Traffic kBackward{2, true, true, 4, true, true};

Problem problem_of(Layout layout, Index batch, Index channels, Index side) {
  Problem problem;
  problem.layout = layout;
  problem.batch = batch;
  problem.channels = channels;
  problem.spatial = side * side;
  return problem;
}

Schedule schedule_of(const Problem& problem, const CacheSizes& caches, const Traffic& traffic, int threads = 2) {
  return make_schedule(problem, make_tiling(problem), caches, traffic, threads);
}

Index slab_bytes(const Problem& problem, const Schedule& schedule, const Traffic& traffic) {
  return schedule.slab_channels * problem.batch * problem.spatial * traffic.element * traffic.reads;
}

TEST(PlanTest, SlabsOfLongPlanesOverlapBeyondTheCaches) {
  const Problem problem = problem_of(Layout::ncx, 50, 256, 56);
  for (const CacheSizes& caches : {kDesktop, kVirtual}) {
    const Schedule schedule = schedule_of(problem, caches, kTraining);
    EXPECT_TRUE(schedule.overlapped);
    EXPECT_FALSE(schedule.looks_ahead);
  }
  EXPECT_FALSE(schedule_of(problem_of(Layout::ncx, 4, 64, 56), kDesktop, kTraining).overlapped) << "in the cache";
  EXPECT_FALSE(schedule_of(problem_of(Layout::ncx, 50, 512, 28), kDesktop, kTraining).overlapped) << "short planes";
}

TEST(PlanTest, SlabsDoNotOverlapWhereTheLastCacheLikelyHasAllThatIsRead) {
  const Problem problem = problem_of(Layout::nCx16c, 50, 256, 28);
  EXPECT_FALSE(schedule_of(problem, kVirtual, kBackward).overlapped);
  EXPECT_TRUE(schedule_of(problem, kDesktop, kBackward).overlapped);
  EXPECT_TRUE(schedule_of(problem_of(Layout::nCx16c, 50, 256, 56), kVirtual, kBackward).overlapped);
}

TEST(PlanTest, AnApplyPassFetchesTheNextSlabWhereTwoFitACore) {
  const Problem problem = problem_of(Layout::ncx, 50, 512, 28);
  for (const Traffic& traffic : {kTraining, kBackward}) {
    const Schedule schedule = schedule_of(problem, kVirtual, traffic);
    EXPECT_TRUE(schedule.looks_ahead);
    EXPECT_TRUE(schedule.private_slabs);
    EXPECT_LE(2 * slab_bytes(problem, schedule, traffic), static_cast<Index>(kVirtual.private_bytes));
  }
  EXPECT_FALSE(schedule_of(problem, kDesktop, kTraining).looks_ahead) << "a last cache for larger slabs";
  EXPECT_FALSE(schedule_of(problem_of(Layout::ncx, 50, 2048, 7), kVirtual, kTraining).looks_ahead) << "short planes";
  EXPECT_FALSE(schedule_of(problem_of(Layout::ncx, 8, 512, 28), kVirtual, kTraining).looks_ahead) << "in the cache";
  EXPECT_FALSE(schedule_of(problem_of(Layout::nCx16c, 50, 512, 28), kVirtual, kTraining).looks_ahead) << "blocks";
}

TEST(PlanTest, ThreadsShareASlabOfWhichTwoFitAllOfThem) {
  const Problem problem = problem_of(Layout::ncx, 50, 64, 112);
  const Schedule schedule = schedule_of(problem, kVirtual, kHalfTraining);
  EXPECT_TRUE(schedule.looks_ahead);
  EXPECT_FALSE(schedule.private_slabs);
  EXPECT_EQ(schedule.slab_channels, 1);
}

TEST(PlanTest, OneThreadGoesOverSmallTensors) {
  EXPECT_EQ(schedule_of(problem_of(Layout::ncx, 1, 64, 7), kDesktop, kTraining, 8).threads, 1);
  EXPECT_EQ(schedule_of(problem_of(Layout::ncx, 50, 64, 56), kDesktop, kTraining, 8).threads, 8);
}

TEST(PlanTest, ReachGrowsWithWhatIsRead) {
  using kernels::Reach;
  const auto reach = [](Index batch, const CacheSizes& caches) {
    return reach_of(problem_of(Layout::ncx, batch, 64, 32), caches, sizeof(float));  // 256 KB a sample
  };
  EXPECT_EQ(reach(4, kVirtual), Reach::own_cache);
  EXPECT_EQ(reach(80, kVirtual), Reach::contended_cache);
  EXPECT_EQ(reach(120, kVirtual), Reach::memory);
  EXPECT_EQ(reach(60, kDesktop), Reach::shared_cache);
  EXPECT_EQ(reach(120, kDesktop), Reach::memory);
}

}  // namespace
}  // namespace xbn::internal
