#include "driver.hpp"

#include <algorithm>

namespace xbn::internal {

namespace {

using kernels::Affine;
using kernels::GradientAffine;
using kernels::GradientSumsOut;
using kernels::kMaxLanes;
using kernels::MomentsOut;
using kernels::Store;

// A thread's share of [0, count): contiguous, so that the same elements come to the same thread in every loop of a
// call.
template <class Body>
void parallel_ranges(const Executor& executor, Index threads, Index count, const Body& body) {
  if (threads <= 1 || count <= 1) return body(Index{0}, count);
  struct Context {
    const Body& body;
    Index count;
    Index shares;
  } context{body, count, std::min(threads, count)};
  executor.run(
      context.shares,
      [](void* erased, std::int64_t share) {
        const Context& of = *static_cast<const Context*>(erased);
        of.body(of.count * share / of.shares, of.count * (share + 1) / of.shares);
      },
      &context);
}

// The channels of a slab in the groups of which tiles are made. A group does not span channel blocks.
class Groups {
 public:
  Groups(ChannelRange channels, Index size) : channels_(channels), size_(size) {}
  Index count() const { return (channels_.count + size_ - 1) / size_; }
  ChannelRange operator[](Index index) const {
    const Index first = index * size_;
    return {channels_.first + first, std::min(size_, channels_.count - first)};
  }

 private:
  ChannelRange channels_;
  Index size_;
};

// Calls work(slab, threads) for each slab: concurrently with one thread each, or in turn with all.
template <class Work>
void for_each_slab(const Executor& executor, const Problem& problem, const Schedule& schedule, const Work& work) {
  const Groups slabs({0, problem.channels}, schedule.slab_channels);
  const Index outer_threads = schedule.private_slabs ? schedule.threads : 1;
  const Index inner_threads = schedule.private_slabs ? 1 : schedule.threads;
  parallel_ranges(executor, outer_threads, slabs.count(), [&](Index first, Index last) {
    for (Index slab = first; slab < last; ++slab) work(slabs[slab], inner_threads);
  });
}

// Units of a slab in the order of memory: groups of planes or blocks lie far apart, groups of a row side by side.
struct Units {
  Index groups;
  Index parts;
  bool groups_side_by_side;

  Index count() const { return groups * parts; }
  Index group(Index unit) const { return groups_side_by_side ? unit % groups : unit / parts; }
  Index part(Index unit) const { return groups_side_by_side ? unit / groups : unit % parts; }
};

MomentsOut at(const MomentsOut& moments, Index offset) { return {moments.mean + offset, moments.m2 + offset}; }

double* at(double* values, Index offset) { return values != nullptr ? values + offset : nullptr; }
const float* at(const float* values, Index offset) { return values != nullptr ? values + offset : nullptr; }
float* at(float* values, Index offset) { return values != nullptr ? values + offset : nullptr; }

GradientSumsOut at(const GradientSumsOut& sums, Index offset) {
  return {at(sums.dy, offset), at(sums.dy_x, offset), at(sums.x, offset)};
}

Affine at(const Affine& affine, Index offset) {
  return {at(affine.mean, offset), at(affine.scale, offset), at(affine.shift, offset)};
}

GradientAffine at(const GradientAffine& affine, Index offset) {
  return {at(affine.mean, offset), at(affine.a, offset), at(affine.b, offset), at(affine.c, offset)};
}

RunningStatistics at(const RunningStatistics& running, Index offset) {
  return {at(running.mean, offset), at(running.variance, offset), running.update};
}

bool same_memory(const TensorIn& a, const TensorOut& b) { return a.data == b.data; }

// Merging costs a channel and chunk; below this many, a loop of its own costs more.
constexpr Index kMergesPerThread = 8192;

// One call's passes over one slab.
class Passes {
 public:
  Passes(const Problem& problem, const Tiling& tiling, const Machine& machine, const Walk& walk,
         const Schedule& schedule, ChannelRange slab, Index threads)
      : problem_(problem),
        tiling_(tiling),
        machine_(machine),
        walk_(walk),
        schedule_(schedule),
        slab_(slab),
        groups_(slab, schedule.group_channels),
        threads_(threads) {}

  // Moments of each chunk into chunk * channels + channel, merged into those of chunk 0.
  void moments(const TensorIn& x, const MomentsOut& out) const {
    for_each_chunk([&](ChannelRange group, Index chunk, Index first, Index last) {
      const MomentsOut total = at(out, chunk * problem_.channels + group.first);
      walk_.moments(x, group, first, total);
      Index count = walk_.elements(first);
      alignas(64) double mean[kMaxLanes];
      alignas(64) double m2[kMaxLanes];
      for (Index tile = first + 1; tile < last; ++tile) {
        walk_.moments(x, group, tile, {mean, m2});
        machine_.kernels.merge_moments(group.count, count, total, walk_.elements(tile), {mean, m2});
        count += walk_.elements(tile);
      }
    });
    merge_chunks([&](ChannelRange channels) {
      Index count = chunk_elements(0);
      for (Index chunk = 1; chunk < tiling_.chunks; ++chunk) {
        machine_.kernels.merge_moments(channels.count, count, at(out, channels.first), chunk_elements(chunk),
                                       at(out, chunk * problem_.channels + channels.first));
        count += chunk_elements(chunk);
      }
    });
  }

  void gradient_sums(const TensorIn& x, const TensorIn& dy, const float* mean, const GradientSumsOut& out) const {
    const auto add = [&](ChannelRange channels, const GradientSumsOut& into, const GradientSumsOut& from) {
      machine_.kernels.add(channels.count, into.dy, from.dy);
      if (x.data == nullptr) return;
      machine_.kernels.add(channels.count, into.dy_x, from.dy_x);
      machine_.kernels.add(channels.count, into.x, from.x);
    };
    for_each_chunk([&](ChannelRange group, Index chunk, Index first, Index last) {
      const GradientSumsOut total = at(out, chunk * problem_.channels + group.first);
      walk_.gradient_sums(x, dy, group, first, at(mean, group.first), total);
      alignas(64) double sum_dy[kMaxLanes];
      alignas(64) double sum_dy_x[kMaxLanes];
      alignas(64) double sum_x[kMaxLanes];
      for (Index tile = first + 1; tile < last; ++tile) {
        const GradientSumsOut of_tile{sum_dy, sum_dy_x, sum_x};
        walk_.gradient_sums(x, dy, group, tile, at(mean, group.first), of_tile);
        add(group, total, of_tile);
      }
    });
    merge_chunks([&](ChannelRange channels) {
      for (Index chunk = 1; chunk < tiling_.chunks; ++chunk) {
        add(channels, at(out, channels.first), at(out, chunk * problem_.channels + channels.first));
      }
    });
  }

  // In the order of memory.
  template <class Apply>
  void for_each_piece(const Apply& apply) const {
    for_each_range_of_pieces([&](Index first, Index last, const Units& units) {
      for (Index unit = first; unit < last; ++unit) apply_unit(units, unit, apply);
    });
  }

  // Backwards, so that it begins on what the pass before has left in the cache.
  template <class Apply>
  void for_each_piece_backwards(const Apply& apply) const {
    for_each_range_of_pieces([&](Index first, Index last, const Units& units) {
      for (Index unit = last; unit-- > first;) apply_unit(units, unit, apply);
    });
  }

 private:
  Units units_of(Index parts) const { return {groups_.count(), parts, tiling_.family == Family::interleaved}; }

  template <class Body>
  void for_each_range_of_pieces(const Body& body) const {
    const Units units = units_of(tiling_.tiles * schedule_.pieces_per_tile);
    parallel_ranges(machine_.executor, threads_, units.count(),
                    [&](Index first, Index last) { body(first, last, units); });
  }

  template <class Apply>
  void apply_unit(const Units& units, Index unit, const Apply& apply) const {
    const Index part = units.part(unit);
    apply(groups_[units.group(unit)],
          Piece{part / schedule_.pieces_per_tile, part % schedule_.pieces_per_tile, schedule_.pieces_per_tile});
  }

  template <class Body>
  void for_each_chunk(const Body& body) const {
    const Units units = units_of(tiling_.chunks);
    parallel_ranges(machine_.executor, threads_, units.count(), [&](Index first, Index last) {
      for (Index unit = first; unit < last; ++unit) {
        const Index chunk = units.part(unit);
        const Index first_tile = chunk * tiling_.tiles_per_chunk;
        body(groups_[units.group(unit)], chunk, first_tile,
             std::min(tiling_.tiles, first_tile + tiling_.tiles_per_chunk));
      }
    });
  }

  template <class Merge>
  void merge_chunks(const Merge& merge) const {
    if (tiling_.chunks == 1) return;
    const Index threads = std::min(threads_, std::max<Index>(1, slab_.count * tiling_.chunks / kMergesPerThread));
    parallel_ranges(machine_.executor, threads, slab_.count, [&](Index first, Index last) {
      merge(ChannelRange{slab_.first + first, last - first});
    });
  }

  Index chunk_elements(Index chunk) const {
    const Index first = chunk * tiling_.tiles_per_chunk;
    const Index last = std::min(tiling_.tiles, first + tiling_.tiles_per_chunk);
    Index count = 0;
    for (Index tile = first; tile < last; ++tile) count += walk_.elements(tile);
    return count;
  }

  const Problem& problem_;
  const Tiling& tiling_;
  const Machine& machine_;
  const Walk& walk_;
  const Schedule& schedule_;
  ChannelRange slab_;
  Groups groups_;
  Index threads_;
};

Store store_for(const Problem& problem, const CacheSizes& caches, const Traffic& traffic, bool in_place) {
  return !in_place && worth_streaming(problem, caches, traffic) ? Store::streaming : Store::ordinary;
}

// Hands out arrays of one piece of memory, each aligned to a cache line.
class Arena {
 public:
  explicit Arena(void* memory) : address_(reinterpret_cast<std::uintptr_t>(memory)) {}

  template <class T>
  T* take(Index count) {
    constexpr std::uintptr_t kLine = 64;
    address_ = (address_ + kLine - 1) / kLine * kLine;
    T* result = reinterpret_cast<T*>(address_);
    address_ += static_cast<std::uintptr_t>(count) * sizeof(T);
    return result;
  }

  std::uintptr_t address() const { return address_; }

 private:
  std::uintptr_t address_;
};

ForwardScratch take_forward(const Problem& problem, const Tiling& tiling, Arena& arena) {
  const Index partial = problem.channels * tiling.chunks;
  ForwardScratch scratch{};
  scratch.moments = {arena.take<double>(partial), arena.take<double>(partial)};
  scratch.scale = arena.take<float>(problem.channels);
  scratch.shift = arena.take<float>(problem.channels);
  return scratch;
}

BackwardScratch take_backward(const Problem& problem, const Tiling& tiling, Arena& arena) {
  const Index partial = problem.channels * tiling.chunks;
  BackwardScratch scratch{};
  scratch.sums = {arena.take<double>(partial), arena.take<double>(partial), arena.take<double>(partial)};
  scratch.a = arena.take<float>(problem.channels);
  scratch.b = arena.take<float>(problem.channels);
  scratch.c = arena.take<float>(problem.channels);
  return scratch;
}

}  // namespace

std::size_t scratch_bytes(const Problem& problem, const Tiling& tiling) {
  constexpr std::uintptr_t kWorstAddress = 1;
  Arena forward(reinterpret_cast<void*>(kWorstAddress));
  Arena backward(reinterpret_cast<void*>(kWorstAddress));
  take_forward(problem, tiling, forward);
  take_backward(problem, tiling, backward);
  return std::max(forward.address(), backward.address()) - kWorstAddress;
}

ForwardScratch forward_scratch(const Problem& problem, const Tiling& tiling, void* memory) {
  Arena arena(memory);
  return take_forward(problem, tiling, arena);
}

BackwardScratch backward_scratch(const Problem& problem, const Tiling& tiling, void* memory) {
  Arena arena(memory);
  return take_backward(problem, tiling, arena);
}

Schedule Driver::schedule(const Traffic& traffic) const {
  return make_schedule(problem_, tiling_, machine_.caches, traffic, machine_.executor.concurrency());
}

void Driver::forward_training(const ForwardTraining& args, const TensorIn& x, const TensorOut& y,
                              const ForwardScratch& scratch) const {
  const Traffic traffic{1, true, true};
  const Schedule schedule = this->schedule(traffic);
  const Store store = store_for(problem_, machine_.caches, traffic, same_memory(x, y));
  const Affine affine{args.mean, scratch.scale, scratch.shift};
  for_each_slab(machine_.executor, problem_, schedule, [&](ChannelRange slab, Index threads) {
    const Passes passes(problem_, tiling_, machine_, walk_, schedule, slab, threads);
    passes.moments(x, scratch.moments);
    const Index c = slab.first;
    machine_.kernels.finalise_forward(
        slab.count, {problem_.batch * problem_.spatial, scratch.moments.mean + c, scratch.moments.m2 + c,
                     at(args.gamma, c), at(args.beta, c), problem_.epsilon, problem_.epsilon_placement, args.mean + c,
                     args.variance + c, scratch.scale + c, scratch.shift + c, at(args.running, c)});
    passes.for_each_piece_backwards([&](ChannelRange group, const Piece& piece) {
      walk_.apply(x, y, group, piece, at(affine, group.first), store);
    });
  });
}

void Driver::backward(const Backward& args, const TensorIn& x, const TensorIn& dy, const TensorOut& dx,
                      const BackwardScratch& scratch) const {
  const bool batch = args.statistics == Statistics::batch;
  const bool wants_dx = dx.data != nullptr;
  const bool sums_x = args.dgamma != nullptr || (batch && wants_dx);
  const bool sums = sums_x || args.dbeta != nullptr;
  const TensorIn summed_x = sums_x ? x : TensorIn{};
  const TensorIn applied_x = batch ? x : TensorIn{};
  const Traffic traffic{x.data != nullptr && sums_x ? 2 : 1, sums && wants_dx, wants_dx};
  const Schedule schedule = this->schedule(traffic);
  const Store store = store_for(problem_, machine_.caches, traffic, same_memory(x, dx) || same_memory(dy, dx));
  const GradientAffine affine{batch ? args.mean : nullptr, scratch.a, batch ? scratch.b : nullptr,
                              batch ? scratch.c : nullptr};
  const GradientSumsOut totals{sums ? scratch.sums.dy : nullptr, sums_x ? scratch.sums.dy_x : nullptr,
                               sums_x ? scratch.sums.x : nullptr};
  for_each_slab(machine_.executor, problem_, schedule, [&](ChannelRange slab, Index threads) {
    const Passes passes(problem_, tiling_, machine_, walk_, schedule, slab, threads);
    if (sums) passes.gradient_sums(summed_x, dy, args.mean, totals);
    const Index c = slab.first;
    const GradientSumsOut of_slab = at(totals, c);
    machine_.kernels.finalise_backward(
        slab.count, {problem_.batch * problem_.spatial, args.statistics, of_slab.dy, of_slab.dy_x, of_slab.x,
                     at(args.gamma, c), args.variance + c, problem_.epsilon, problem_.epsilon_placement,
                     at(args.dgamma, c), at(args.dbeta, c), at(wants_dx ? scratch.a : nullptr, c),
                     at(wants_dx && batch ? scratch.b : nullptr, c), at(wants_dx && batch ? scratch.c : nullptr, c)});
    if (!wants_dx) return;
    const auto apply = [&](ChannelRange group, const Piece& piece) {
      walk_.gradient_apply(applied_x, dy, dx, group, piece, at(affine, group.first), store);
    };
    if (sums) {
      passes.for_each_piece_backwards(apply);
    } else {
      passes.for_each_piece(apply);
    }
  });
}

void Driver::moments(const TensorIn& x, const ForwardScratch& scratch, const MomentsOut& out) const {
  const Schedule schedule = this->schedule({1, false, false});
  for_each_slab(machine_.executor, problem_, schedule, [&](ChannelRange slab, Index threads) {
    Passes(problem_, tiling_, machine_, walk_, schedule, slab, threads).moments(x, scratch.moments);
  });
  std::copy_n(scratch.moments.mean, problem_.channels, out.mean);
  std::copy_n(scratch.moments.m2, problem_.channels, out.m2);
}

void Driver::gradient_sums(const TensorIn& x, const TensorIn& dy, const float* mean, const BackwardScratch& scratch,
                           const GradientSumsOut& out) const {
  const Schedule schedule = this->schedule({2, false, false});
  for_each_slab(machine_.executor, problem_, schedule, [&](ChannelRange slab, Index threads) {
    Passes(problem_, tiling_, machine_, walk_, schedule, slab, threads).gradient_sums(x, dy, mean, scratch.sums);
  });
  std::copy_n(scratch.sums.dy, problem_.channels, out.dy);
  std::copy_n(scratch.sums.dy_x, problem_.channels, out.dy_x);
  std::copy_n(scratch.sums.x, problem_.channels, out.x);
}

void Driver::apply(const TensorIn& x, const TensorOut& y, const Affine& affine) const {
  const Traffic traffic{1, false, true};
  const Schedule schedule = this->schedule(traffic);
  const Store store = store_for(problem_, machine_.caches, traffic, same_memory(x, y));
  for_each_slab(machine_.executor, problem_, schedule, [&](ChannelRange slab, Index threads) {
    Passes(problem_, tiling_, machine_, walk_, schedule, slab, threads)
        .for_each_piece([&](ChannelRange group, const Piece& piece) {
          walk_.apply(x, y, group, piece, at(affine, group.first), store);
        });
  });
}

void Driver::gradient_apply(const TensorIn& x, const TensorIn& dy, const TensorOut& dx,
                            const GradientAffine& affine) const {
  const Traffic traffic{x.data != nullptr ? 2 : 1, false, true};
  const Schedule schedule = this->schedule(traffic);
  const Store store = store_for(problem_, machine_.caches, traffic, same_memory(x, dx) || same_memory(dy, dx));
  for_each_slab(machine_.executor, problem_, schedule, [&](ChannelRange slab, Index threads) {
    Passes(problem_, tiling_, machine_, walk_, schedule, slab, threads)
        .for_each_piece([&](ChannelRange group, const Piece& piece) {
          walk_.gradient_apply(x, dy, dx, group, piece, at(affine, group.first), store);
        });
  });
}

}  // namespace xbn::internal
