#pragma once

// How the channels and tiles of a problem are shared out: slabs, groups of channels, ranges of a loop.

#include <algorithm>

#include "plan.hpp"
#include "team.hpp"
#include "tiles.hpp"

namespace xbn::internal {

// The channels of a slab in the groups of which tiles are made. A group does not span channel blocks.
class Groups {
 public:
  Groups(ChannelRange channels, Index size) : channels_(channels), size_(size) {}
  Index count() const { return divide_up(channels_.count, size_); }
  ChannelRange operator[](Index index) const {
    const Index first = index * size_;
    return {channels_.first + first, std::min(size_, channels_.count - first)};
  }
  // No channels where there are fewer groups.
  ChannelRange or_none(Index index) const {
    return index < count() ? (*this)[index] : ChannelRange{channels_.first, 0};
  }

 private:
  ChannelRange channels_;
  Index size_;
};

// A problem's slabs, of as many channels as each other as far as whole granules allow.
class Slabs {
 public:
  Slabs(const Problem& problem, const Schedule& schedule)
      : channels_(problem.channels), count_(schedule.slabs), granule_(schedule.slab_granule) {}
  Index count() const { return count_; }
  ChannelRange operator[](Index index) const {
    const Part channels = internal::part(channels_, index, count_, granule_);
    return {channels.first, channels.count};
  }

 private:
  Index channels_;
  Index count_;
  Index granule_;
};

// Units of a slab in the order of memory: groups of planes or blocks lie far apart, groups of a row side by side.
struct Units {
  Index groups;
  Index parts;
  bool groups_side_by_side;

  Index count() const { return groups * parts; }
  Index group(Index unit) const { return groups_side_by_side ? unit % groups : unit / parts; }
  Index part(Index unit) const { return groups_side_by_side ? unit / groups : unit % parts; }
};

// Into how many pieces the apply pass of a group of channels is cut, and in which granules of what it is cut into.
struct Cut {
  Index pieces;
  Index granule;
};

// Of at most `most` each. Where threads do not have as many groups each, they get as much of every group.
inline Cut cut_of(Index count, Index most, Index groups, const Schedule& schedule) {
  if (count <= 1) return {count, 1};  // a small tensor feels a division
  const Index sharers = schedule.private_slabs ? 1 : schedule.threads;
  const Index fewest = divide_up(count, most);
  if (groups % sharers == 0) return {fewest, most};
  return {std::min(count, divide_up(fewest, sharers) * sharers), 1};
}

// Calls work(slabs, first, last, member) for ranges of slabs that threads have to themselves, each of them a team of
// its own; or for all slabs, with each member of the one team.
template <class Work>
void for_each_range_of_slabs(const Executor& executor, const Problem& problem, const Schedule& schedule,
                             const Work& work) {
  const Slabs slabs(problem, schedule);
  if (!schedule.private_slabs) {
    return as_team(executor, schedule.threads, [&](Member& member) { work(slabs, Index{0}, slabs.count(), member); });
  }
  as_team(executor, std::min<Index>(schedule.threads, slabs.count()), [&](Member& member) {
    member.loop(slabs.count(), [&](Index first, Index last) {
      Member alone;
      work(slabs, first, last, alone);
    });
  });
}

// Finishing costs a channel and chunk; below this many, one thread is faster.
inline constexpr Index kMergesPerThread = 8192;

// Calls finish(channels) for ranges of all of a slab's channels, of which each has sums of so many chunks.
template <class Finish>
void for_each_range(Member& member, ChannelRange slab, Index chunks, const Finish& finish) {
  if (slab.count * chunks < 2 * kMergesPerThread) return member.once([&] { finish(slab); });
  member.loop(slab.count, [&](Index first, Index last) { finish(ChannelRange{slab.first + first, last - first}); });
}

// Slab after slab: the sums of all its tiles, the end of its sums, and the apply pass, which is told how many channels
// ahead the next slab is where it fetches that (else 0); or, overlapped, the apply pass of one slab together with the
// sums of the next.
template <class Sums, class Finish, class Apply, class ApplyAndSums>
void work_through(const Slabs& slabs, Index first, Index last, bool overlapped, bool looks_ahead, const Sums& sums,
                  const Finish& finish, const Apply& apply, const ApplyAndSums& apply_and_sums) {
  for (Index slab = first; slab < last; ++slab) {
    if (slab == first || !overlapped) {
      sums(slabs[slab]);
    } else {
      apply_and_sums(slabs[slab - 1], slabs[slab]);
    }
    finish(slabs[slab]);
    if (!overlapped || slab + 1 == last) {
      apply(slabs[slab], looks_ahead && slab + 1 < last ? slabs[slab].count : 0);
    }
  }
}

}  // namespace xbn::internal
