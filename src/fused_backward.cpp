#include "fused_call.hpp"
#include "fused_driver.hpp"

namespace xbn::internal {

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
                 .backward = true,
                 .fused = true},
        schedule_(make_schedule(driver.problem_, driver.tiling_, driver.machine_.caches, traffic_,
                                driver.machine_.executor.concurrency())),
        store_(streams() ? Store::streaming : Store::ordinary),
        count_(settings_.total_weight()) {
    if (!has_points(driver.problem_)) return;
    const bool adjoin = channels_adjoin(x_, dy_, residual_, dx_, d_residual_);
    if (adjoin && args.mask != nullptr) packed_mask_ = scratch.packed_mask;
    if (!adjoin) take_channels_alone(schedule_);
  }

  void run() const {
    if (packed_mask_ != nullptr) pack_mask();
    for_each_range_of_slabs(of_.machine_.executor, of_.problem_, schedule_,
                            [&](const Slabs& slabs, Index first, Index last, Member& member) {
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
  void pack_mask() const {
    const Problem& problem = of_.problem_;
    as_team(of_.machine_.executor, schedule_.threads, [&](Member& member) {
      member.loop(problem.batch, [&](Index first, Index last) {
        pack_points(problem, last - first, args_.mask + first * problem.channels,
                    packed_mask_ + first * packed_bytes(problem));
      });
    });
  }

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
            packed_mask_ != nullptr
                ? walk.mask(static_cast<const std::uint8_t*>(packed_mask_), Layout::nc, group, piece)
                : walk.mask(args_.mask, problem.layout, group, piece),
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
  std::uint8_t* packed_mask_ = nullptr;  // in place of the caller's
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

template void FusedDriver<float>::backward(const BasicBackward<float>&, void*) const;
template void FusedDriver<double>::backward(const BasicBackward<double>&, void*) const;

}  // namespace xbn::internal
