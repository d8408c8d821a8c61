#pragma once

// The parallel loops of a call over the tiles of its problem, slab by slab: statistics, merge, finalise, apply.

#include "walk.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::internal {

struct Machine {
  const kernels::KernelTable& kernels;
  const Executor& executor;
  CacheSizes caches;
};

// Scratch that a call needs. `channels` elements of each array a chunk, or once.
struct ForwardScratch {
  kernels::MomentsOut moments;  // chunks
  float* scale;
  float* shift;
};

struct BackwardScratch {
  kernels::GradientSumsOut sums;  // chunks
  float* a;
  float* b;
  float* c;
};

// Bytes for either of the two, and either of the two in such memory, whatever its alignment.
std::size_t scratch_bytes(const Problem& problem, const Tiling& tiling);
ForwardScratch forward_scratch(const Problem& problem, const Tiling& tiling, void* memory);
BackwardScratch backward_scratch(const Problem& problem, const Tiling& tiling, void* memory);

// Arguments are valid, strides resolved, and no tensor empty.
class Driver {
 public:
  Driver(const Problem& problem, const Tiling& tiling, const Machine& machine)
      : problem_(problem),
        tiling_(tiling),
        machine_(machine),
        walk_(problem, tiling, machine.kernels, machine.caches) {}

  void forward_training(const ForwardTraining& args, const TensorIn& x, const TensorOut& y,
                        const ForwardScratch& scratch) const;
  void backward(const Backward& args, const TensorIn& x, const TensorIn& dy, const TensorOut& dx,
                const BackwardScratch& scratch) const;

  void moments(const TensorIn& x, const ForwardScratch& scratch, const kernels::MomentsOut& out) const;
  void gradient_sums(const TensorIn& x, const TensorIn& dy, const float* mean, const BackwardScratch& scratch,
                     const kernels::GradientSumsOut& out) const;
  void apply(const TensorIn& x, const TensorOut& y, const kernels::Affine& affine) const;
  void gradient_apply(const TensorIn& x, const TensorIn& dy, const TensorOut& dx,
                      const kernels::GradientAffine& affine) const;

 private:
  Schedule schedule(const Traffic& traffic) const;
  ChannelRange all_channels() const { return {0, problem_.channels}; }

  // Calls work(passes) for the members of one team.
  template <class Work>
  void with_passes(const Schedule& schedule, kernels::Store store, const Work& work) const;

  const Problem& problem_;
  const Tiling& tiling_;
  const Machine& machine_;
  Walk walk_;
};

}  // namespace xbn::internal
