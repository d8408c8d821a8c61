#include "fused_driver.hpp"

#include "arena.hpp"
#include "fused_passes.hpp"
#include "validate.hpp"

namespace xbn::internal {
namespace {

template <class T>
T* at(T* values, Index offset) {
  return values != nullptr ? values + offset : nullptr;
}

template <class Real>
BasicRunningStatistics<Real> at(const BasicRunningStatistics<Real>& running, Index offset) {
  return {at(running.mean, offset), at(running.variance, offset), running.update};
}

TypedIn resolved(const Problem& problem, const Input& tensor, DataType type) {
  return {tensor.data, type, resolve(problem, tensor.strides)};
}

TypedOut resolved(const Problem& problem, const Output& tensor, DataType type) {
  return {tensor.data, type, resolve(problem, tensor.strides), tensor.owns_padding};
}

template <class Real>
const kernels::FusedTable<Real>& table_of(const FusedMachine& machine) {
  if constexpr (std::is_same_v<Real, float>) {
    return machine.kernels.f32;
  } else {
    return machine.kernels.f64;
  }
}

// Whether the kernels have the activation beside the sums of another slab.
bool is_light(const Activation& activation) {
  switch (activation.kind) {
    case ActivationKind::none:
    case ActivationKind::relu:
    case ActivationKind::leaky_relu:
    case ActivationKind::clipped_relu:
      return true;
    case ActivationKind::sigmoid:
    case ActivationKind::tanh:
    case ActivationKind::silu:
      break;
  }
  return false;
}

}  // namespace

// Wide arrays have `channels` elements a chunk, the others `channels`.
template <class Real>
struct FusedDriver<Real>::Scratch {
  Wide<Real>* sums[3];
  Real* scale;
  Real* shift;
  Real* a;
  Real* b;
  Real* c;

  Scratch(const Problem& problem, const Tiling& tiling, Arena& arena) {
    for (Wide<Real>*& sum : sums) sum = arena.take<Wide<Real>>(problem.channels * tiling.chunks);
    for (Real** array : {&scale, &shift, &a, &b, &c}) *array = arena.take<Real>(problem.channels);
  }
};

// A forward call's tensors, and its pass over them.
template <class Real>
class FusedDriver<Real>::ForwardCall {
 public:
  template <class Args>
  ForwardCall(const FusedDriver& driver, const Args& args, bool two_passes)
      : of_(driver),
        x(resolved(driver.problem_, args.x, driver.problem_.source)),
        residual_(resolved(driver.problem_, args.residual, driver.problem_.destination)),
        y_(resolved(driver.problem_, args.y, driver.problem_.destination)),
        mask_(args.mask),
        settings{driver.problem_, driver.machine_, driver.tiling_, driver.walk_, table_of<Real>(driver.machine_),
                 args.lengths,    nullptr},
        traffic_{driver.problem_.residual ? 2 : 1, two_passes, true,
                 static_cast<Index>(std::max(size_of(x.type), size_of(y_.type))), can_overlap(args.lengths)},
        schedule(make_schedule(driver.problem_, driver.tiling_, driver.machine_.caches, traffic_,
                               driver.machine_.executor.concurrency())),
        store(streams() ? Store::streaming : Store::ordinary) {}

  // What the kernel is given of one piece.
  kernels::FusedForward<Real> tile(ChannelRange group, const Piece& piece, const Real* mean, const Real* scale,
                                   const Real* shift, Index ahead = 0) const {
    const FusedWalk& walk = of_.walk_;
    return {walk.extent(group, piece, settings.lengths, size_in(x)),
            walk.source(x, group, piece, ahead),
            walk.source(residual_, group, piece),
            walk.destination(y_, group, piece),
            walk.mask(mask_, group, piece),
            of_.problem_.activation,
            at(mean, group.first),
            at(scale, group.first),
            at(shift, group.first),
            store};
  }

  void apply(const Real* mean, const Real* scale, const Real* shift) const {
    as_team(of_.machine_.executor, schedule.threads, [&](Member& member) {
      const FusedPasses<Real> passes(settings, schedule, member, store);
      passes.for_each_piece({0, of_.problem_.channels}, false, [&](ChannelRange group, const Piece& piece) {
        settings.kernels.apply(tile(group, piece, mean, scale, shift));
      });
    });
  }

 private:
  bool can_overlap(const std::int64_t* lengths) const {
    return x.type == DataType::f32 && y_.type == DataType::f32 && lengths == nullptr && !of_.problem_.weights &&
           is_light(of_.problem_.activation);
  }

  bool streams() const {
    const bool in_place = y_.data == x.data || y_.data == residual_.data;
    return !in_place && worth_streaming(of_.problem_, of_.machine_.caches, traffic_, schedule.threads);
  }

  const FusedDriver& of_;

 public:
  TypedIn x;

 private:
  TypedIn residual_;
  TypedOut y_;
  std::uint8_t* mask_;

 public:
  FusedSettings<Real> settings;

 private:
  Traffic traffic_;

 public:
  Schedule schedule;
  Store store;
};

template <class Real>
FusedDriver<Real>::FusedDriver(const Problem& problem, const FusedMachine& machine)
    : problem_(problem),
      machine_(machine),
      tiling_(make_fused_tiling(problem)),
      walk_(problem_, tiling_, machine_.caches) {}

template <class Real>
std::size_t FusedDriver<Real>::scratch_bytes() const {
  constexpr std::uintptr_t kWorstAddress = 1;
  Arena arena(reinterpret_cast<void*>(kWorstAddress));
  const Scratch scratch(problem_, tiling_, arena);
  return arena.address() - kWorstAddress;
}

template <class Real>
void FusedDriver<Real>::forward_training(const BasicForwardTraining<Real>& args, void* memory) const {
  Arena arena(memory);
  const Scratch scratch(problem_, tiling_, arena);
  ForwardCall call(*this, args, true);
  call.settings.weights = args.weights;
  const double count = call.settings.total_weight();
  const kernels::WideMoments<Real> moments{scratch.sums[0], scratch.sums[1]};
  const auto tile = [&](ChannelRange group, const Piece& piece, Index ahead = 0) {
    return call.tile(group, piece, args.mean, scratch.scale, scratch.shift, ahead);
  };
  const auto apply = [&](ChannelRange group, const Piece& piece) { call.settings.kernels.apply(tile(group, piece)); };
  const auto extent = [&](ChannelRange group, const Piece& piece) {
    return walk_.extent(group, piece, call.settings.lengths, size_in(call.x));
  };
  for_each_range_of_slabs(
      machine_.executor, problem_, call.schedule, [&](const Groups& slabs, Index first, Index last, Member& member) {
        const FusedPasses<Real> passes(call.settings, call.schedule, member, call.store);
        work_through(
            slabs, first, last, call.schedule.overlapped, call.schedule.looks_ahead,
            [&](ChannelRange slab) {
              passes.moments(
                  slab, call.x, moments, [&](Index, ChannelRange group, const Piece& piece, const auto& out) {
                    call.settings.kernels.moments(extent(group, piece), walk_.source(call.x, group, piece), out);
                  });
            },
            [&](ChannelRange slab) {
              passes.for_each_range_of_channels(slab, [&](ChannelRange channels) {
                passes.merge_moments(channels, moments);
                const Index c = channels.first;
                call.settings.kernels.finalise_forward(channels.count, {count,
                                                                        {moments.mean + c, moments.m2 + c},
                                                                        at(args.gamma, c),
                                                                        at(args.beta, c),
                                                                        problem_.epsilon,
                                                                        problem_.epsilon_placement,
                                                                        args.mean + c,
                                                                        args.variance + c,
                                                                        scratch.scale + c,
                                                                        scratch.shift + c,
                                                                        at(args.running, c)});
              });
            },
            [&](ChannelRange slab, Index ahead) {
              passes.for_each_piece(slab, true, [&](ChannelRange group, const Piece& piece) {
                call.settings.kernels.apply(tile(group, piece, ahead));
              });
            },
            [&](ChannelRange now, ChannelRange next) {
              passes.moments(
                  next, call.x, moments, [&](Index index, ChannelRange group, const Piece& piece, const auto& out) {
                    call.settings.kernels.apply_and_moments(tile(passes.group(now, index), piece), extent(group, piece),
                                                            walk_.source(call.x, group, piece), out);
                  });
              passes.for_each_further_piece(now, next, apply);
            });
      });
}

template <class Real>
void FusedDriver<Real>::forward_inference(const BasicForwardInference<Real>& args, void* memory) const {
  Arena arena(memory);
  const Scratch scratch(problem_, tiling_, arena);
  const ForwardCall call(*this, args, false);
  call.settings.kernels.finalise_given(problem_.channels, {args.variance, args.gamma, args.beta, problem_.epsilon,
                                                           problem_.epsilon_placement, scratch.scale, scratch.shift});
  call.apply(args.mean, scratch.scale, scratch.shift);
}

template <class Real>
void FusedDriver<Real>::forward_folded(const BasicForwardFolded<Real>& args) const {
  const ForwardCall call(*this, args, false);
  call.apply(args.mean, args.scale, args.shift);
}

// What a backward call reads, writes and has to compute.
template <class Real>
class FusedDriver<Real>::BackwardCall {
 public:
  BackwardCall(const FusedDriver& driver, const BasicBackward<Real>& args, const Scratch& scratch)
      : of_(driver),
        args_(args),
        scratch_(scratch),
        batch_(args.statistics == Statistics::batch),
        wants_dx_(args.dx.data != nullptr),
        sums_x_(args.dgamma != nullptr || (batch_ && wants_dx_)),
        differentiates_(driver.problem_.activation.kind != ActivationKind::none && args.mask == nullptr),
        x_(resolved(driver.problem_, driver.problem_.backward_from_output ? args.y : args.x, driver.problem_.source)),
        dy_(resolved(driver.problem_, args.dy, driver.problem_.destination)),
        residual_(resolved(driver.problem_, args.residual, driver.problem_.destination)),
        dx_(resolved(driver.problem_, args.dx, driver.problem_.source)),
        d_residual_(resolved(driver.problem_, args.d_residual, driver.problem_.destination)),
        settings_{driver.problem_,
                  driver.machine_,
                  driver.tiling_,
                  driver.walk_,
                  table_of<Real>(driver.machine_),
                  args.lengths,
                  batch_ ? args.weights : nullptr},
        traffic_{.reads = sums_x_ ? 2 : 1,
                 .two_passes = needs_sums() && needs_apply(),
                 .writes = needs_apply(),
                 .element = static_cast<Index>(std::max(size_of(x_.type), size_of(dy_.type))),
                 .can_overlap = can_overlap(),
                 .backward = true},
        schedule_(make_schedule(driver.problem_, driver.tiling_, driver.machine_.caches, traffic_,
                                driver.machine_.executor.concurrency())),
        store_(streams() ? Store::streaming : Store::ordinary),
        count_(settings_.total_weight()) {}

  void run() const {
    for_each_range_of_slabs(of_.machine_.executor, of_.problem_, schedule_,
                            [&](const Groups& slabs, Index first, Index last, Member& member) {
                              const FusedPasses<Real> passes(settings_, schedule_, member, store_);
                              work_through(
                                  slabs, first, last, schedule_.overlapped, schedule_.looks_ahead,
                                  [&](ChannelRange slab) { sums(passes, slab); },
                                  [&](ChannelRange slab) { finish(passes, slab); },
                                  [&](ChannelRange slab, Index ahead) { apply(passes, slab, ahead); },
                                  [&](ChannelRange now, ChannelRange next) { apply_and_sums(passes, now, next); });
                            });
  }

 private:
  bool needs_sums() const { return sums_x_ || args_.dbeta != nullptr; }
  bool needs_apply() const { return wants_dx_ || args_.d_residual.data != nullptr; }

  bool streams() const {
    for (const TypedOut* out : {&dx_, &d_residual_}) {
      if (out->data == nullptr) continue;
      if (out->data == x_.data || out->data == dy_.data || out->data == residual_.data) return false;
    }
    return worth_streaming(of_.problem_, of_.machine_.caches, traffic_, schedule_.threads);
  }

  bool can_overlap() const {
    return x_.type == DataType::f32 && dy_.type == DataType::f32 && args_.lengths == nullptr &&
           args_.weights == nullptr && sums_x_ && needs_apply() && !differentiates_ &&
           !of_.problem_.backward_from_output;
  }

  kernels::WideGradientSums<Real> totals() const { return {scratch_.sums[0], scratch_.sums[1], scratch_.sums[2]}; }

  void sums(const FusedPasses<Real>& passes, ChannelRange slab) const {
    const Problem& problem = of_.problem_;
    if (args_.saturated != nullptr) count_saturated(passes, slab);
    if (differentiates_ && !problem.backward_from_output) {
      passes.once([&] {
        const Index c = slab.first;
        settings_.kernels.finalise_given(slab.count,
                                         {args_.variance + c, at(args_.gamma, c), at(args_.beta, c), problem.epsilon,
                                          problem.epsilon_placement, scratch_.scale + c, scratch_.shift + c});
      });
    }
    if (!needs_sums()) return;
    passes.gradient_sums(slab, totals(), [&](Index, ChannelRange group, const Piece& piece, const auto& out) {
      settings_.kernels.gradient_sums(gradient(group, piece, sums_x_), out);
    });
  }

  void finish(const FusedPasses<Real>& passes, ChannelRange slab) const {
    const Problem& problem = of_.problem_;
    const kernels::WideGradientSums<Real> sums = totals();
    passes.for_each_range_of_channels(slab, [&](ChannelRange channels) {
      if (needs_sums()) passes.merge_gradient_sums(channels, sums);
      const Index c = channels.first;
      const kernels::WideGradientSums<Real> of_channels{
          needs_sums() ? sums.dz + c : nullptr, sums_x_ ? sums.dz_x + c : nullptr, sums_x_ ? sums.x + c : nullptr};
      const auto wanted = [&](Real* array) { return needs_apply() ? array + c : nullptr; };
      settings_.kernels.finalise_backward(
          channels.count, {count_, args_.statistics, of_channels, problem.backward_from_output, at(args_.gamma, c),
                           args_.variance + c, problem.epsilon, problem.epsilon_placement, at(args_.dgamma, c),
                           at(args_.dbeta, c), wanted(scratch_.a), wanted(scratch_.b), wanted(scratch_.c)});
    });
  }

  void apply(const FusedPasses<Real>& passes, ChannelRange slab, Index ahead) const {
    if (!needs_apply()) return;
    passes.for_each_piece(slab, needs_sums(),
                          [&](ChannelRange group, const Piece& piece) { apply_piece(group, piece, ahead); });
  }

  void apply_piece(ChannelRange group, const Piece& piece, Index ahead = 0) const {
    settings_.kernels.gradient_apply(gradient(group, piece, batch_ && wants_dx_, ahead), destinations(group, piece));
  }

  void apply_and_sums(const FusedPasses<Real>& passes, ChannelRange now, ChannelRange next) const {
    passes.gradient_sums(next, totals(), [&](Index index, ChannelRange group, const Piece& piece, const auto& out) {
      const ChannelRange applied = passes.group(now, index);
      settings_.kernels.gradient_apply_and_sums(gradient(applied, piece, batch_ && wants_dx_),
                                                destinations(applied, piece), gradient(group, piece, true), out);
    });
    passes.for_each_further_piece(now, next,
                                  [&](ChannelRange group, const Piece& piece) { apply_piece(group, piece); });
  }

  kernels::FusedGradientApply<Real> destinations(ChannelRange group, const Piece& piece) const {
    const Index first = group.first;
    return {of_.walk_.destination(dx_, group, piece),
            of_.walk_.destination(d_residual_, group, piece),
            scratch_.a + first,
            scratch_.b + first,
            scratch_.c + first,
            static_cast<Real>(settings_.weight(piece.tile)),
            store_};
  }

  // x itself is wanted, or only what the activation makes of it.
  kernels::FusedGradient<Real> gradient(ChannelRange group, const Piece& piece, bool with_x, Index ahead = 0) const {
    const Problem& problem = of_.problem_;
    const FusedWalk& walk = of_.walk_;
    const bool reads_x = with_x || differentiates_;
    const Real* const center = problem.backward_from_output ? args_.beta : args_.mean;
    const Index first = group.first;
    TypedIn x = x_;
    if (!reads_x) x.data = nullptr;
    TypedIn residual = residual_;
    if (!differentiates_) residual.data = nullptr;
    return {walk.extent(group, piece, settings_.lengths, size_in(x_) + size_in(dy_)),
            walk.source(x, group, piece, ahead),
            walk.source(dy_, group, piece, ahead),
            walk.source(residual, group, piece),
            walk.mask(args_.mask, group, piece),
            problem.activation,
            problem.backward_from_output && reads_x,
            reads_x ? at(center, first) : nullptr,
            scratch_.scale + first,
            scratch_.shift + first};
  }

  void count_saturated(const FusedPasses<Real>& passes, ChannelRange slab) const {
    const ActivationKind kind = of_.problem_.activation.kind;
    const bool saturates = kind == ActivationKind::sigmoid || kind == ActivationKind::tanh;
    passes.for_each_group(
        slab, [&](ChannelRange group) { std::fill_n(args_.saturated + group.first, group.count, 0); },
        [&](ChannelRange group, const Piece& piece) {
          if (!saturates) return;
          settings_.kernels.count_saturated(of_.walk_.extent(group, piece, settings_.lengths, size_in(x_)),
                                            of_.walk_.source(x_, group, piece), of_.problem_.activation,
                                            args_.saturated + group.first);
        });
  }

  const FusedDriver& of_;
  const BasicBackward<Real>& args_;
  const Scratch& scratch_;
  bool batch_;
  bool wants_dx_;
  bool sums_x_;
  bool differentiates_;
  TypedIn x_;
  TypedIn dy_;
  TypedIn residual_;
  TypedOut dx_;
  TypedOut d_residual_;
  FusedSettings<Real> settings_;
  Traffic traffic_;
  Schedule schedule_;
  Store store_;
  double count_;
};

template <class Real>
void FusedDriver<Real>::backward(const BasicBackward<Real>& args, void* memory) const {
  Arena arena(memory);
  const Scratch scratch(problem_, tiling_, arena);
  BackwardCall(*this, args, scratch).run();
}

template class FusedDriver<float>;
template class FusedDriver<double>;

}  // namespace xbn::internal
