// When slabs overlap, when an apply pass fetches the next one, and how they fit into the caches. Results depend on none
// of it.

#include "plan.hpp"

#include <algorithm>
#include <gtest/gtest.h>

#include "loops.hpp"

namespace xbn::internal {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20;
// A core's own cache, what can be counted on of the last one, and what is likely of it.
constexpr CacheSizes kDesktop{kMebibyte, 32 * kMebibyte, 32 * kMebibyte};
constexpr CacheSizes kVirtual{2 * kMebibyte, 4 * kMebibyte, 160 * kMebibyte};

constexpr Traffic kTraining{1, true, true};
constexpr Traffic kHalfTraining{1, true, true, 2, false};
constexpr Traffic kBackward{2, true, true, 4, true, true};
constexpr Traffic kFusedBackward{2, true, true, 4, true, true, true};

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

TEST(PlanTest, ShortPlanesOfGradientsOverlapWhereOthersUseTheLastCache) {
  const auto overlapped = [](const CacheSizes& caches, const Traffic& traffic, Index side, int threads) {
    return schedule_of(problem_of(Layout::ncx, 50, 512, side), caches, traffic, threads).overlapped;
  };
  EXPECT_TRUE(overlapped(kVirtual, kBackward, 28, 2));
  EXPECT_FALSE(overlapped(kVirtual, kBackward, 14, 2)) << "784 bytes";
  EXPECT_FALSE(overlapped(kVirtual, kBackward, 28, 1)) << "one thread";
  EXPECT_TRUE(overlapped(kVirtual, kBackward, 56, 1));
  EXPECT_FALSE(overlapped(kVirtual, kFusedBackward, 28, 2)) << "more to do";
  EXPECT_TRUE(overlapped(kVirtual, kFusedBackward, 56, 2));
  EXPECT_FALSE(overlapped(kDesktop, kBackward, 56, 2)) << "a last cache of its own";
  EXPECT_TRUE(overlapped(kDesktop, kBackward, 112, 2));
  EXPECT_FALSE(overlapped(kDesktop, kBackward, 112, 1)) << "one thread";
}

TEST(PlanTest, SlabsDoNotOverlapWhereTheLastCacheLikelyHasAllThatIsRead) {
  const Problem problem = problem_of(Layout::nCx16c, 50, 256, 28);
  EXPECT_FALSE(schedule_of(problem, kVirtual, kBackward).overlapped);
  EXPECT_TRUE(schedule_of(problem, kDesktop, kBackward).overlapped);
  EXPECT_TRUE(schedule_of(problem_of(Layout::nCx16c, 50, 256, 56), kVirtual, kBackward).overlapped);
}

TEST(PlanTest, AnApplyPassFetchesTheNextSlabWhereTwoFitACore) {
  const Problem problem = problem_of(Layout::ncx, 50, 512, 28);
  for (const Traffic& traffic : {kTraining, kFusedBackward}) {
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

// Channels of the slabs of thread `thread`, as a team's loop shares them out.
Index channels_of_thread(const Slabs& slabs, Index thread, Index threads) {
  const auto begin = [&](Index share) { return slabs.count() * share / threads; };
  Index channels = 0;
  for (Index slab = begin(thread); slab < begin(thread + 1); ++slab) channels += slabs[slab].count;
  return channels;
}

TEST(PlanTest, SlabsAreAllChannelsInOrder) {
  for (const Index channels : {16, 40, 200, 257, 1000}) {
    for (const Index batch : {1, 16, 50}) {
      const Problem problem = problem_of(Layout::nCx8c, batch, channels, 28);
      const Schedule schedule = schedule_of(problem, kVirtual, kTraining, 3);
      const Slabs slabs(problem, schedule);
      Index next = 0;
      for (Index slab = 0; slab < slabs.count(); ++slab) {
        EXPECT_EQ(slabs[slab].first, next) << channels << " channels, slab " << slab;
        EXPECT_GT(slabs[slab].count, 0);
        EXPECT_LE(slabs[slab].count, schedule.slab_channels);
        next += slabs[slab].count;
      }
      EXPECT_EQ(next, channels);
    }
  }
}

TEST(PlanTest, ThreadsGetAsManyChannelsEach) {
  for (const Layout layout : {Layout::ncx, Layout::nCx8c, Layout::nCx16c}) {
    for (const Index channels : {160, 256, 320, 352}) {
      for (const Index threads : {2, 3, 4}) {
        const Problem problem = problem_of(layout, 16, channels, 16);
        const Schedule schedule = schedule_of(problem, kVirtual, kBackward, static_cast<int>(threads));
        if (!schedule.private_slabs) continue;
        const Slabs slabs(problem, schedule);
        Index most = 0;
        for (Index thread = 0; thread < threads; ++thread) {
          most = std::max(most, channels_of_thread(slabs, thread, threads));
        }
        EXPECT_LT(most, channels / threads + schedule.slab_granule + 1)
            << name(layout) << ", " << channels << " channels, " << threads << " threads";
      }
    }
  }
}

// With two each, half of all work would be without anything beside it.
TEST(PlanTest, OverlappedSlabsAreSeveralForEachThread) {
  const Problem problem = problem_of(Layout::nCx16c, 2, 256, 28);
  const Schedule schedule = schedule_of(problem, kVirtual, kBackward);
  EXPECT_TRUE(schedule.overlapped);
  EXPECT_GE(schedule.slabs, 8);
}

TEST(PlanTest, TilesOfRowsAreAsLongAsEachOtherAndBeginWithLines) {
  for (const Index channels : {256, 200, 322, 257}) {
    const Problem problem = problem_of(Layout::nxc, 2, channels, 28);
    const Tiling tiling = make_tiling(problem);
    EXPECT_EQ(tiling.rows_per_tile * channels % 16, 0) << channels << " channels";
    const Index short_of = tiling.rows_per_tile * tiling.tiles - problem.batch * problem.spatial;
    EXPECT_LT(short_of, 16 * tiling.tiles) << channels << " channels";
  }
  EXPECT_EQ(make_tiling(problem_of(Layout::nxc, 2, 256, 28)).rows_per_tile, 196);
}

TEST(PlanTest, PiecesOfRowsGiveEachThreadAsMuch) {
  for (const Index batch : {2, 37, 50, 64}) {
    for (const Index channels : {64, 128, 512}) {
      const Problem problem = problem_of(Layout::nxc, batch, channels, 28);
      const Tiling tiling = make_tiling(problem);
      const Schedule schedule = schedule_of(problem, kVirtual, kTraining);
      const Cut cut = cut_of(tiling.tiles, schedule.tiles_per_piece, 1, schedule);
      EXPECT_LE(tiling.tiles, cut.pieces * schedule.tiles_per_piece);
      EXPECT_EQ(part(tiling.tiles, cut.pieces / 2, cut.pieces, cut.granule).first, (tiling.tiles + 1) / 2)
          << batch << " x " << channels;
    }
  }
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
