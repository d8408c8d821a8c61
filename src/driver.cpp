#include "driver.hpp"

#include <algorithm>

#include "arena.hpp"
#include "passes.hpp"

namespace xbn::internal {

namespace {

using kernels::Affine;
using kernels::GradientAffine;
using kernels::Store;

bool same_memory(const TensorIn& a, const TensorOut& b) { return a.data == b.data; }

Store store_for(const Problem& problem, const CacheSizes& caches, const Traffic& traffic, const Schedule& schedule,
                bool in_place) {
  return !in_place && worth_streaming(problem, caches, traffic, schedule.threads) ? Store::streaming : Store::ordinary;
}

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

template <class Work>
void Driver::with_passes(const Schedule& schedule, Store store, const Work& work) const {
  as_team(machine_.executor, schedule.threads,
          [&](Member& member) { work(Passes(problem_, tiling_, machine_, walk_, schedule, member, store)); });
}

void Driver::forward_training(const ForwardTraining& args, const TensorIn& x, const TensorOut& y,
                              const ForwardScratch& scratch) const {
  const Traffic traffic{1, true, true};
  const Schedule schedule = this->schedule(traffic);
  const Store store = store_for(problem_, machine_.caches, traffic, schedule, same_memory(x, y));
  const Affine affine{args.mean, scratch.scale, scratch.shift};
  for_each_range_of_slabs(
      machine_.executor, problem_, schedule, [&](const Slabs& slabs, Index first, Index last, Member& member) {
        const Passes passes(problem_, tiling_, machine_, walk_, schedule, member, store);
        const auto apply = [&](ChannelRange group, const Piece& piece, Index ahead = 0) {
          walk_.apply(x, y, group, piece, at(affine, group.first), store, ahead);
        };
        work_through(
            slabs, first, last, schedule.overlapped, schedule.looks_ahead,
            [&](ChannelRange slab) { passes.moments(slab, x, scratch.moments); },
            [&](ChannelRange slab) {
              passes.for_each_range_of_channels(slab, [&](ChannelRange channels) {
                passes.merge_moments(channels, scratch.moments);
                const Index c = channels.first;
                machine_.kernels.finalise_forward(
                    channels.count, {static_cast<double>(problem_.batch * problem_.spatial), scratch.moments.mean + c,
                                     scratch.moments.m2 + c, at(args.gamma, c), at(args.beta, c), problem_.epsilon,
                                     problem_.epsilon_placement, args.mean + c, args.variance + c, scratch.scale + c,
                                     scratch.shift + c, at(args.running, c)});
              });
            },
            [&](ChannelRange slab, Index ahead) {
              passes.for_each_piece_backwards(
                  slab, [&](ChannelRange group, const Piece& piece) { apply(group, piece, ahead); });
            },
            [&](ChannelRange now, ChannelRange next) {
              passes.moments(
                  next, x, scratch.moments, [&](Index index, ChannelRange group, Index tile, const MomentsOut& out) {
                    const ChannelRange applied = passes.group(now, index);
                    walk_.apply_and_moments(x, y, applied, at(affine, applied.first), store, group, tile, out);
                  });
              passes.for_each_further_piece(now, next, apply);
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
  const Traffic traffic{.reads = x.data != nullptr && sums_x ? 2 : 1,
                        .two_passes = sums && wants_dx,
                        .writes = wants_dx,
                        .backward = true};
  const Schedule schedule = this->schedule(traffic);
  const Store store =
      store_for(problem_, machine_.caches, traffic, schedule, same_memory(x, dx) || same_memory(dy, dx));
  const GradientAffine affine{batch ? args.mean : nullptr, scratch.a, batch ? scratch.b : nullptr,
                              batch ? scratch.c : nullptr};
  const GradientSumsOut totals{sums ? scratch.sums.dy : nullptr, sums_x ? scratch.sums.dy_x : nullptr,
                               sums_x ? scratch.sums.x : nullptr};
  for_each_range_of_slabs(
      machine_.executor, problem_, schedule, [&](const Slabs& slabs, Index first, Index last, Member& member) {
        const Passes passes(problem_, tiling_, machine_, walk_, schedule, member, store);
        const auto apply = [&](ChannelRange group, const Piece& piece, Index ahead = 0) {
          walk_.gradient_apply(applied_x, dy, dx, group, piece, at(affine, group.first), store, ahead);
        };
        work_through(
            slabs, first, last, schedule.overlapped && sums_x && wants_dx, schedule.looks_ahead,
            [&](ChannelRange slab) {
              if (sums) passes.gradient_sums(slab, summed_x, dy, args.mean, totals);
            },
            [&](ChannelRange slab) {
              passes.for_each_range_of_channels(slab, [&](ChannelRange channels) {
                if (sums) passes.merge_gradient_sums(channels, totals);
                const Index c = channels.first;
                const GradientSumsOut of_channels = at(totals, c);
                machine_.kernels.finalise_backward(
                    channels.count,
                    {static_cast<double>(problem_.batch * problem_.spatial), args.statistics, of_channels.dy,
                     of_channels.dy_x, of_channels.x, at(args.gamma, c), args.variance + c, problem_.epsilon,
                     problem_.epsilon_placement, at(args.dgamma, c), at(args.dbeta, c),
                     at(wants_dx ? scratch.a : nullptr, c), at(wants_dx && batch ? scratch.b : nullptr, c),
                     at(wants_dx && batch ? scratch.c : nullptr, c)});
              });
            },
            [&](ChannelRange slab, Index ahead) {
              if (!wants_dx) return;
              if (sums) {
                passes.for_each_piece_backwards(
                    slab, [&](ChannelRange group, const Piece& piece) { apply(group, piece, ahead); });
              } else {
                passes.for_each_piece(slab, apply);
              }
            },
            [&](ChannelRange now, ChannelRange next) {
              passes.gradient_sums(
                  next, totals, [&](Index index, ChannelRange group, Index tile, const GradientSumsOut& out) {
                    const ChannelRange applied = passes.group(now, index);
                    walk_.gradient_apply_and_sums(applied_x, summed_x, dy, dx, applied, at(affine, applied.first),
                                                  store, group, tile, at(args.mean, group.first), out);
                  });
              passes.for_each_further_piece(now, next, apply);
            });
      });
}

void Driver::moments(const TensorIn& x, const ForwardScratch& scratch, const MomentsOut& out) const {
  with_passes(schedule({1, false, false}), Store::ordinary, [&](const Passes& passes) {
    passes.moments(all_channels(), x, scratch.moments);
    passes.for_each_range_of_channels(all_channels(), [&](ChannelRange channels) {
      passes.merge_moments(channels, scratch.moments);
      std::copy_n(scratch.moments.mean + channels.first, channels.count, out.mean + channels.first);
      std::copy_n(scratch.moments.m2 + channels.first, channels.count, out.m2 + channels.first);
    });
  });
}

void Driver::gradient_sums(const TensorIn& x, const TensorIn& dy, const float* mean, const BackwardScratch& scratch,
                           const GradientSumsOut& out) const {
  with_passes(schedule({2, false, false}), Store::ordinary, [&](const Passes& passes) {
    passes.gradient_sums(all_channels(), x, dy, mean, scratch.sums);
    passes.for_each_range_of_channels(all_channels(), [&](ChannelRange channels) {
      passes.merge_gradient_sums(channels, scratch.sums);
      std::copy_n(scratch.sums.dy + channels.first, channels.count, out.dy + channels.first);
      std::copy_n(scratch.sums.dy_x + channels.first, channels.count, out.dy_x + channels.first);
      std::copy_n(scratch.sums.x + channels.first, channels.count, out.x + channels.first);
    });
  });
}

void Driver::apply(const TensorIn& x, const TensorOut& y, const Affine& affine) const {
  const Traffic traffic{1, false, true};
  const Schedule schedule = this->schedule(traffic);
  const Store store = store_for(problem_, machine_.caches, traffic, schedule, same_memory(x, y));
  with_passes(schedule, store, [&](const Passes& passes) {
    passes.for_each_piece(all_channels(), [&](ChannelRange group, const Piece& piece) {
      walk_.apply(x, y, group, piece, at(affine, group.first), store);
    });
  });
}

void Driver::gradient_apply(const TensorIn& x, const TensorIn& dy, const TensorOut& dx,
                            const GradientAffine& affine) const {
  const Traffic traffic{x.data != nullptr ? 2 : 1, false, true};
  const Schedule schedule = this->schedule(traffic);
  const Store store =
      store_for(problem_, machine_.caches, traffic, schedule, same_memory(x, dx) || same_memory(dy, dx));
  with_passes(schedule, store, [&](const Passes& passes) {
    passes.for_each_piece(all_channels(), [&](ChannelRange group, const Piece& piece) {
      walk_.gradient_apply(x, dy, dx, group, piece, at(affine, group.first), store);
    });
  });
}

}  // namespace xbn::internal
