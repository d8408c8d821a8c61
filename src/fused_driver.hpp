#pragma once

// The parallel loops of a call whose problem is not plain: other types, activations, residuals, masks, sequences and
// weights. Real is what elements are computed in, and the type of per-channel arrays.

#include "driver.hpp"
#include "fused_walk.hpp"

namespace xbn::internal {

struct FusedMachine {
  const kernels::FusedTables& kernels;
  const Executor& executor;
  CacheSizes caches;
};

// Arguments are valid and no tensor empty.
template <class Real>
class FusedDriver {
 public:
  FusedDriver(const Problem& problem, const FusedMachine& machine);

  std::size_t scratch_bytes() const;

  void forward_training(const BasicForwardTraining<Real>& args, void* scratch) const;
  void forward_inference(const BasicForwardInference<Real>& args, void* scratch) const;
  void forward_folded(const BasicForwardFolded<Real>& args) const;
  void backward(const BasicBackward<Real>& args, void* scratch) const;

 private:
  struct Scratch;
  // A call's arguments in the terms of the kernels; each defined where it is used.
  class ForwardCall;
  class BackwardCall;

  const Problem& problem_;
  FusedMachine machine_;
  Tiling tiling_;
  FusedWalk walk_;
};

extern template class FusedDriver<float>;
extern template class FusedDriver<double>;

}  // namespace xbn::internal
