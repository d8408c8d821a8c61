#pragma once

// The planes of one image, where they lie side by side, as one run: a vector that spans two planes takes coefficients
// of both, so that no part of a cache line is written by itself. Each plane's bits of a mask start on a byte, so they
// are taken by way of a run of bits without gaps.

#include "kernels/bit_runs.hpp"
#include "kernels/fused_runs.hpp"

namespace xbn::kernels {
namespace {

// Whether the planes of each image are worth taking so: they end within vectors, and no vector spans three.
template <class Operation>
inline bool side_by_side(const FusedExtent& extent, Operation& operation) {
  const Index length = extent.positions;
  return extent.lengths == nullptr && extent.blocks > 1 && length > kLanes && length % kLanes != 0 &&
         extent.blocks * length <= kMostBits && planes_adjoin(extent, operation);
}

template <class A, class Operation>
class SideBySide {
 public:
  // The operation is at the first plane of an image.
  SideBySide(const Operation& operation, const FusedExtent& extent)
      : operation_(operation), extent_(extent), mask_(operation.mask) {
    set_step(operation_, kLanes);
  }

  void run(Store store) {
    if (store == Store::streaming) {
      head_ = operation_.can_stream() ? 0 : operation_.misaligned();
      Operation behind = operation_;
      behind.for_each_tensor([&](auto& stream) { stream.advance(head_); });
      if (behind.can_stream()) return run<Store::streaming>();
      head_ = 0;
    }
    run<Store::ordinary>();
  }

 private:
  using Vector = typename Operation::Vector;
  using Byte = typename Operation::MaskByte;
  static constexpr int kCoefficients = Operation::kCoefficients;
  static constexpr int kTogether = 4;

  template <Store kStore>
  void run() {
    if (mask_.present()) bits_.begin(mask_.at, mask_.block_pitch, extent_.blocks, extent_.positions, head_);
    apply<kStore>();
    if (mask_.present()) bits_.end();
  }

  template <Store kStore>
  [[gnu::flatten, gnu::noinline]] void apply() {
    const Partial whole{kLanes, kLanes};
    Vector coefficient[kCoefficients];
    Operation operation = operation_;
    coefficients_of_plane(operation, 0, coefficient);
    if (head_ > 0) {
      if (mask_.present()) operation.mask.at = bits_.of_head();
      operation.template step<1, true, Store::ordinary>(0, {head_, head_}, coefficient);
    }
    if (mask_.present()) operation.mask.at = bits_.of_vectors() - head_ / 8;
    Index i = head_;
    for (Index c = 0; c < extent_.blocks; ++c) {
      const Index end = (c + 1) * extent_.positions;
      for (; i + kTogether * kLanes <= end; i += kTogether * kLanes) {
        operation.template step<kTogether, false, kStore>(i, whole, coefficient);
      }
      for (; i + kLanes <= end; i += kLanes) operation.template step<1, false, kStore>(i, whole, coefficient);
      const Index left = end - i;
      if (c + 1 == extent_.blocks) {
        if (left > 0) operation.template step<1, true, Store::ordinary>(i, {left, left}, coefficient);
        return;
      }
      Vector next[kCoefficients];
      coefficients_of_plane(operation, c + 1, next);
      if (left > 0) {
        for (int k = 0; k < kCoefficients; ++k) coefficient[k] = Vector::select_first(left, coefficient[k], next[k]);
        operation.template step<1, false, kStore>(i, whole, coefficient);
        i += kLanes;
      }
      for (int k = 0; k < kCoefficients; ++k) coefficient[k] = next[k];
    }
  }

  static void coefficients_of_plane(const Operation& operation, Index plane, Vector* coefficient) {
    for (int k = 0; k < kCoefficients; ++k) {
      const auto* const values = operation.coefficients[k];
      coefficient[k] = Vector::all(values != nullptr ? values[plane] : 0);
    }
  }

  Operation operation_;
  const FusedExtent& extent_;
  Stream<Byte> mask_;
  Index head_ = 0;
  BitsOfVectors<Byte> bits_;
};

}  // namespace
}  // namespace xbn::kernels
