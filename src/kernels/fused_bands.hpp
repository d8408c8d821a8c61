#pragma once

// Planes of less than a vector that lie side by side: those of some channels are a row, images are its rows, and each
// position has its channel's coefficients.

#include "kernels/fused_runs.hpp"
#include "kernels/small_planes.hpp"

namespace xbn::kernels {
namespace {

// Whether planes are taken so.
template <class Operation>
inline bool in_bands(const FusedExtent& extent, Operation& operation) {
  return extent.lengths == nullptr && extent.blocks > 1 && extent.positions < kLanes &&
         planes_adjoin(extent, operation);
}

// Of some channels.
template <class A, class Operation>
class Band {
 public:
  static constexpr Index kLanesOfBand = 512;

  // The operation is at the first channel of the first image.
  Band(const Operation& operation, const FusedExtent& extent, Index first, Index channels)
      : operation_(operation), extent_(extent) {
    for (int i = 0; i < Operation::kCoefficients; ++i) {
      const Real*& values = operation_.coefficients[i];
      if (values == nullptr) continue;
      spread_over_positions<A>(values + first, channels, extent.positions, spread_[i]);
      values = spread_[i];
    }
    operation_.for_each_tensor([](auto& stream) { stream.row_pitch = stream.image_pitch; });
    operation_.mask.row_pitch = operation_.mask.image_pitch;
    extent_.shape = Shape::rows;
    extent_.images = 1;
    extent_.blocks = 1;
    extent_.positions = extent.images;
    extent_.width = extent_.channels = channels * extent.positions;
    extent_.fold = 1;
  }
  Band(const Band&) = delete;
  Band& operator=(const Band&) = delete;

  const Operation& operation() const { return operation_; }
  const FusedExtent& extent() const { return extent_; }

 private:
  using Real = typename Operation::Real;

  Operation operation_;
  FusedExtent extent_;
  alignas(64) Real spread_[Operation::kCoefficients][kLanesOfBand + kLanes];
};

}  // namespace
}  // namespace xbn::kernels
