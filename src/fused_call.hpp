#pragma once

// What the fused calls share: arguments in the terms of the kernels, and scratch.

#include "arena.hpp"
#include "fused_passes.hpp"
#include "point_mask.hpp"
#include "validate.hpp"

namespace xbn::internal {

template <class T>
T* at(T* values, Index offset) {
  return values != nullptr ? values + offset : nullptr;
}

template <class Real>
BasicRunningStatistics<Real> at(const BasicRunningStatistics<Real>& running, Index offset) {
  return {at(running.mean, offset), at(running.variance, offset), running.update};
}

inline TypedIn resolved(const Problem& problem, const Input& tensor, DataType type) {
  return {tensor.data, type, resolve(problem, tensor.strides)};
}

inline TypedOut resolved(const Problem& problem, const Output& tensor, DataType type) {
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

// Whether channels lie side by side in all tensors, which planes of one position need not.
template <class... Tensors>
bool channels_adjoin(const Tensors&... tensors) {
  return ((tensors.data == nullptr || tensors.strides.channel == 1) && ...);
}

// Planes of one position are rows of channels. Where they cannot be taken together, each channel is a row by itself.
inline void take_channels_alone(Schedule& schedule) { schedule.group_channels = schedule.apply_group_channels = 1; }

// Wide arrays have `channels` elements a chunk, the others `channels`.
template <class Real>
struct FusedDriver<Real>::Scratch {
  Wide<Real>* sums[3];
  Real* scale;
  Real* shift;
  Real* a;
  Real* b;
  Real* c;
  std::uint8_t* packed_mask = nullptr;  // of all images, where there is a point mask

  Scratch(const Problem& problem, const Tiling& tiling, Arena& arena) {
    for (Wide<Real>*& sum : sums) sum = arena.take<Wide<Real>>(problem.channels * tiling.chunks);
    for (Real** array : {&scale, &shift, &a, &b, &c}) *array = arena.take<Real>(problem.channels);
    if (has_point_mask(problem)) packed_mask = arena.take<std::uint8_t>(problem.batch * packed_bytes(problem));
  }
};

}  // namespace xbn::internal
