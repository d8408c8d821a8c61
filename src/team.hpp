#pragma once

// Threads that go through a call's loops together. To end a loop and begin the next costs them a look at each other,
// where a parallel loop of the executor for each would wake and gather them every time.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "xbn/executor.hpp"

namespace xbn::internal {

// What the members of a team share. Loops are numbered from 0; a loop has as many shares as the team, each of which is
// claimed by one member.
//
// A member waits for shares that others have claimed, and so have begun, and never for a member: there need not be one
// for each share, and one that comes late finds what is done and goes on to what is not. So a team needs no two threads
// at the same time.
class Team {
 public:
  using Index = std::int64_t;

  static constexpr Index kMostShares = 256;

  explicit Team(Index shares) : shares_(std::min(shares, kMostShares)) {
    std::uninitialized_value_construct_n(next_loop(), shares_);
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  Index shares() const { return shares_; }

  bool is_done(Index loop) const { return done_.load(std::memory_order_acquire) >= (loop + 1) * shares_; }

  // Whether the share is the caller's to do. Once only in each loop.
  bool claim(Index loop, Index share) {
    std::atomic<Index>& next = next_loop()[share];
    Index claimed = next.load(std::memory_order_relaxed);
    return claimed <= loop && next.compare_exchange_strong(claimed, loop + 1, std::memory_order_relaxed);
  }

  void finish_shares(Index count) { done_.fetch_add(count, std::memory_order_acq_rel); }

  // Returns when all shares are done.
  void wait(Index loop) const;

 private:
  using Loop = std::atomic<Index>;

  // Of each share the loop for which it can be claimed next. Only as many as there are shares exist: short calls would
  // feel the others.
  Loop* next_loop() { return reinterpret_cast<Loop*>(next_loop_); }

  Index shares_;
  alignas(64) std::atomic<Index> done_{0};
  alignas(64) std::byte next_loop_[kMostShares * sizeof(Loop)];
};

// One thread's way through the loops of its team. All members of a team call the same loops in the same order, with
// bodies that do the same.
class Member {
 public:
  using Index = Team::Index;

  // The only one.
  Member() = default;

  // Member number `number` of the team.
  Member(Team& team, Index number) : team_(&team), number_(number) {}

  // Calls body(first, last) for ranges that make up [0, count), one for each share: contiguous, so that the same
  // elements come to the same thread in every loop. All that earlier loops did is done before; of this loop others may
  // still be doing some when it returns.
  template <class Body>
  void loop(Index count, const Body& body) {
    if (count <= 0) return;
    if (team_ == nullptr || count == 1) return once([&] { body(Index{0}, count); });
    const Index loop = begin();
    if (team_->is_done(loop)) return;
    const Index shares = team_->shares();
    for (Index i = 0; i < shares; ++i) {
      const Index share = number_ + i < shares ? number_ + i : number_ + i - shares;
      if (!team_->claim(loop, share)) continue;
      const Index first = count * share / shares;
      const Index last = count * (share + 1) / shares;
      if (first < last) body(first, last);
      team_->finish_shares(1);
    }
  }

  // Calls work() on one thread, likewise.
  template <class Work>
  void once(const Work& work) {
    if (team_ == nullptr) return work();
    const Index loop = begin();
    if (!team_->claim(loop, 0)) return;
    work();
    team_->finish_shares(team_->shares());
  }

 private:
  // The number of the loop that follows, all before it being done.
  Index begin() {
    if (loop_ > 0) team_->wait(loop_ - 1);
    return loop_++;
  }

  Team* team_ = nullptr;
  Index number_ = 0;
  Index loop_ = 0;
};

// Calls work(member) for the members of a team, on as many of the executor's threads as it has, and returns when all
// have returned.
template <class Work>
void as_team(const Executor& executor, std::int64_t threads, const Work& work) {
  if (threads <= 1) {
    Member alone;
    return work(alone);
  }
  Team team(threads);
  struct Context {
    const Work& work;
    Team& team;
  } context{work, team};
  executor.run(
      team.shares(),
      [](void* erased, std::int64_t number) {
        const Context& of = *static_cast<const Context*>(erased);
        Member member(of.team, number);
        of.work(member);
      },
      &context);
}

}  // namespace xbn::internal
