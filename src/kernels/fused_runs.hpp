#pragma once

// How fused kernels go through a tile: runs of consecutive elements that share their coefficients or repeat those of
// one block, and rows of channels.

#include "kernels/fused_streams.hpp"

namespace xbn::kernels {
namespace {

inline Index channels_of(const FusedExtent& extent, Index block) {
  if (extent.shape == Shape::planes) return 1;
  const Index left = extent.channels - block * extent.width;
  return left < extent.width ? left : extent.width;
}

inline Index first_channel(const FusedExtent& extent, Index block) { return block * extent.width; }

// Positions of an image that are not void.
inline Index valid_positions(const FusedExtent& extent, Index image) {
  if (extent.lengths == nullptr) return extent.positions;
  const Index left = extent.lengths[image] - extent.part.first;
  return left < 0 ? 0 : left < extent.positions ? left : extent.positions;
}

inline Index valid_elements(const FusedExtent& extent) {
  if (extent.lengths == nullptr) return extent.images * extent.positions;
  Index count = 0;
  for (Index n = 0; n < extent.images; ++n) count += valid_positions(extent, n);
  return count;
}

// Rows that lie evenly across images become those of one image.
template <class Tensors>
inline bool rows_continue(const FusedExtent& extent, Tensors& tensors) {
  bool result = extent.shape == Shape::rows && extent.lengths == nullptr;
  tensors.for_each_tensor([&](auto& stream) {
    const bool even = extent.positions == 1 || stream.image_pitch == extent.positions * stream.row_pitch;
    result = result && (!stream.present() || even);
  });
  return result;
}

template <class Tensors>
inline FusedExtent with_rows_of_one_image(FusedExtent extent, Tensors& tensors) {
  if (extent.images == 1 || !rows_continue(extent, tensors)) return extent;
  if (extent.positions == 1) {
    tensors.for_each_tensor([](auto& stream) { stream.row_pitch = stream.image_pitch; });
    if constexpr (requires { tensors.mask; }) tensors.mask.row_pitch = tensors.mask.image_pitch;
  }
  extent.positions *= extent.images;
  extent.images = 1;
  return extent;
}

template <class Tensors>
inline void move_to(Tensors& tensors, Index image, Index block, Index row) {
  tensors.for_each_tensor([&](auto& stream) { stream.move(image, block, row); });
  if constexpr (requires { tensors.mask; }) tensors.mask.move(image, block, row);
}

// Whether the planes of an image lie side by side in every tensor.
template <class Tensors>
inline bool planes_adjoin(const FusedExtent& extent, Tensors& tensors) {
  bool result = extent.shape == Shape::planes;
  tensors.for_each_tensor(
      [&](const auto& stream) { result = result && (!stream.present() || stream.block_pitch == extent.positions); });
  return result;
}

// Whether rows of `lanes` lanes are one run in every tensor.
template <class Tensors>
inline bool tensors_adjoin(Index lanes, Tensors& tensors) {
  bool result = true;
  tensors.for_each_tensor([&](const auto& stream) { result = result && stream.follows_rows(lanes); });
  return result;
}

// And in a mask, whose bytes are of 8 elements.
template <class Tensors>
inline bool rows_adjoin(Index lanes, Tensors& tensors) {
  bool result = tensors_adjoin(lanes, tensors);
  if constexpr (requires { tensors.mask; }) result = result && (!tensors.mask.present() || lanes % 8 == 0);
  return result;
}

// By elements of a run; with a mask, by whole bytes of it.
template <class Operation>
inline void move_by(Operation& operation, Index elements) {
  operation.for_each_tensor([&](auto& stream) { stream.advance(elements); });
  operation.mask.advance(elements / 8);
}

// From one of several vectors to the next, of a run.
template <class Tensors>
inline void set_step(Tensors& tensors, Index elements) {
  tensors.for_each_tensor([&](auto& stream) { stream.step = elements; });
  if constexpr (requires { tensors.mask; }) tensors.mask.step = elements / 8;
}

// Likewise, `rows` rows on.
template <class Tensors>
inline void step_by_rows(Tensors& tensors, Index rows) {
  tensors.for_each_tensor([&](auto& stream) { stream.step = rows * stream.row_pitch; });
  if constexpr (requires { tensors.mask; }) tensors.mask.step = rows * tensors.mask.row_pitch;
}

template <class Tensors>
inline void skip_rows(Tensors& tensors, Index rows) {
  tensors.for_each_tensor([&](auto& stream) { stream.advance(rows * stream.row_pitch); });
  if constexpr (requires { tensors.mask; }) tensors.mask.advance(rows * tensors.mask.row_pitch);
}

// 16 lanes of per-channel values as the elements of a block follow each other: a channel's, 16, or 8 twice. 0 where
// there are none, and behind the channels.
template <class A, class Real>
inline Pack<A, Real, kLanes> lanes_of(const FusedExtent& extent, Index block, const Real* values) {
  using Vector = Pack<A, Real, kLanes>;
  if (values == nullptr) return Vector::all(0);
  const Real* const from = values + first_channel(extent, block);
  if (extent.shape == Shape::planes) return Vector::all(*from);
  const Vector channels = Vector::load_first(from, channels_of(extent, block));
  if (extent.width >= kLanes) return channels;
  alignas(64) Real twice[kLanes];
  channels.store_first(twice, kLanes / 2);
  channels.store_first(twice + kLanes / 2, kLanes / 2);
  return Vector::load(twice);
}

// Whether a block's positions are one run in every tensor.
template <class Tensors>
inline bool is_run(const FusedExtent& extent, Index block, Tensors& tensors) {
  if (extent.shape == Shape::planes) return true;
  bool result = channels_of(extent, block) == extent.width;
  tensors.for_each_tensor([&](auto& stream) { result = result && stream.follows_rows(extent.width); });
  return result;
}

template <class A, class Operation>
inline void coefficients_of_block(const Operation& operation, const FusedExtent& extent, Index block,
                                  typename Operation::Vector* coefficient) {
  for (int i = 0; i < Operation::kCoefficients; ++i) {
    coefficient[i] = lanes_of<A>(extent, block, operation.coefficients[i]);
  }
}

// Elements of a run until it can be streamed; -1 where it cannot. One channel's lanes may begin anywhere.
template <class Operation>
inline Index head_before_streaming(Operation operation, const FusedExtent& extent, Index elements) {
  if (operation.can_stream()) return 0;
  if (extent.shape != Shape::planes) return -1;
  const Index head = operation.misaligned();
  if (head > elements) return -1;
  move_by(operation, head);
  return operation.can_stream() ? head : -1;
}

// Whether vectors that begin at element `head` take parts of a mask's bytes, which are of 8 elements.
template <class Operation>
inline bool splits_mask(const Operation& operation, Index head) {
  return operation.mask.present() && head % 8 != 0;
}

// Elements until what is written is at the beginning of a line of memory; of what can be streamed.
template <class Operation>
inline Index elements_before_line(Operation& operation) {
  constexpr Index kLineBytes = 64;
  Index result = 0;
  operation.for_each_destination([&](const auto& stream, bool) {
    constexpr auto kBytes = static_cast<Index>(sizeof(*stream.at));
    const auto past = static_cast<Index>(reinterpret_cast<std::uintptr_t>(stream.at) % kLineBytes);
    const bool of_line = kBytes * Operation::kLine * kLanes == kLineBytes;
    if (stream.present() && of_line && past > 0) result = (kLineBytes - past) / kBytes;
  });
  return result;
}

inline Index run_elements(const FusedExtent& extent, Index positions) {
  return extent.shape == Shape::planes ? positions : positions * extent.width;
}

}  // namespace
}  // namespace xbn::kernels
