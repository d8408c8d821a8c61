#pragma once

// Per-channel arrays from a later channel on. Null stays null.

#include "kernels/kernel_table.hpp"

namespace xbn::internal {

using kernels::Affine;
using kernels::GradientAffine;
using kernels::GradientSumsOut;
using kernels::Index;
using kernels::MomentsOut;

inline MomentsOut at(const MomentsOut& moments, Index offset) { return {moments.mean + offset, moments.m2 + offset}; }

inline double* at(double* values, Index offset) { return values != nullptr ? values + offset : nullptr; }
inline const float* at(const float* values, Index offset) { return values != nullptr ? values + offset : nullptr; }
inline float* at(float* values, Index offset) { return values != nullptr ? values + offset : nullptr; }

inline GradientSumsOut at(const GradientSumsOut& sums, Index offset) {
  return {at(sums.dy, offset), at(sums.dy_x, offset), at(sums.x, offset)};
}

inline Affine at(const Affine& affine, Index offset) {
  return {at(affine.mean, offset), at(affine.scale, offset), at(affine.shift, offset)};
}

inline GradientAffine at(const GradientAffine& affine, Index offset) {
  return {at(affine.mean, offset), at(affine.a, offset), at(affine.b, offset), at(affine.c, offset)};
}

inline RunningStatistics at(const RunningStatistics& running, Index offset) {
  return {at(running.mean, offset), at(running.variance, offset), running.update};
}

}  // namespace xbn::internal
