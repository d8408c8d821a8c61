#include "fused_call.hpp"
#include "fused_driver.hpp"

namespace xbn::internal {
namespace {

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

// A forward call's tensors, and its pass over them.
template <class Real>
class FusedDriver<Real>::ForwardCall {
 public:
  template <class Args>
  ForwardCall(const FusedDriver& driver, const Args& args, std::uint8_t* packed_mask, bool two_passes)
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
        store(streams() ? Store::streaming : Store::ordinary) {
    if (!has_points(driver.problem_)) return;
    const bool adjoin = channels_adjoin(x, residual_, y_);
    if (adjoin && mask_ != nullptr) packed_mask_ = packed_mask;
    if (!adjoin || (mask_ != nullptr && packed_mask_ == nullptr)) take_channels_alone(schedule);
  }

  // What the kernel is given of one piece.
  kernels::FusedForward<Real> tile(ChannelRange group, const Piece& piece, const Real* mean, const Real* scale,
                                   const Real* shift, Index ahead = 0) const {
    const FusedWalk& walk = of_.walk_;
    return {walk.extent(group, piece, settings.lengths, size_in(x)),
            walk.source(x, group, piece, ahead),
            walk.source(residual_, group, piece),
            walk.destination(y_, group, piece),
            packed_mask_ != nullptr ? walk.mask(packed_mask_, Layout::nc, group, piece)
                                    : walk.mask(mask_, of_.problem_.layout, group, piece),
            of_.problem_.activation,
            at(mean, group.first),
            at(scale, group.first),
            at(shift, group.first),
            store};
  }

  void apply_piece(ChannelRange group, const Piece& piece, const Real* mean, const Real* scale, const Real* shift,
                   Index ahead = 0) const {
    settings.kernels.apply(tile(group, piece, mean, scale, shift, ahead));
    if (packed_mask_ == nullptr) return;
    const PlanesTile at = of_.walk_.planes(piece);
    unpack_points(of_.problem_, at.planes, packed_mask_ + at.first_plane * packed_bytes(of_.problem_),
                  mask_ + at.first_plane * of_.problem_.channels);
  }

  void apply(const Real* mean, const Real* scale, const Real* shift) const {
    as_team(of_.machine_.executor, schedule.threads, [&](Member& member) {
      const FusedPasses<Real> passes(settings, schedule, member, store);
      passes.for_each_piece({0, of_.problem_.channels}, false, [&](ChannelRange group, const Piece& piece) {
        apply_piece(group, piece, mean, scale, shift);
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
  std::uint8_t* packed_mask_ = nullptr;  // in place of mask_

 public:
  FusedSettings<Real> settings;

 private:
  Traffic traffic_;

 public:
  Schedule schedule;
  Store store;
};

template <class Real>
void FusedDriver<Real>::forward_training(const BasicForwardTraining<Real>& args, void* memory) const {
  Arena arena(memory);
  const Scratch scratch(problem_, tiling_, arena);
  ForwardCall call(*this, args, scratch.packed_mask, true);
  call.settings.weights = args.weights;
  const double count = call.settings.total_weight();
  const kernels::WideMoments<Real> moments{scratch.sums[0], scratch.sums[1]};
  const auto tile = [&](ChannelRange group, const Piece& piece) {
    return call.tile(group, piece, args.mean, scratch.scale, scratch.shift);
  };
  const auto apply = [&](ChannelRange group, const Piece& piece, Index ahead = 0) {
    call.apply_piece(group, piece, args.mean, scratch.scale, scratch.shift, ahead);
  };
  const auto extent = [&](ChannelRange group, const Piece& piece) {
    return walk_.extent(group, piece, call.settings.lengths, size_in(call.x));
  };
  for_each_range_of_slabs(
      machine_.executor, problem_, call.schedule, [&](const Slabs& slabs, Index first, Index last, Member& member) {
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
              passes.for_each_piece(slab, true,
                                    [&](ChannelRange group, const Piece& piece) { apply(group, piece, ahead); });
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
  const ForwardCall call(*this, args, scratch.packed_mask, false);
  call.settings.kernels.finalise_given(problem_.channels, {args.variance, args.gamma, args.beta, problem_.epsilon,
                                                           problem_.epsilon_placement, scratch.scale, scratch.shift});
  call.apply(args.mean, scratch.scale, scratch.shift);
}

template <class Real>
void FusedDriver<Real>::forward_folded(const BasicForwardFolded<Real>& args) const {
  const ForwardCall call(*this, args, nullptr, false);
  call.apply(args.mean, args.scale, args.shift);
}

template void FusedDriver<float>::forward_training(const BasicForwardTraining<float>&, void*) const;
template void FusedDriver<double>::forward_training(const BasicForwardTraining<double>&, void*) const;
template void FusedDriver<float>::forward_inference(const BasicForwardInference<float>&, void*) const;
template void FusedDriver<double>::forward_inference(const BasicForwardInference<double>&, void*) const;
template void FusedDriver<float>::forward_folded(const BasicForwardFolded<float>&) const;
template void FusedDriver<double>::forward_folded(const BasicForwardFolded<double>&) const;

}  // namespace xbn::internal
