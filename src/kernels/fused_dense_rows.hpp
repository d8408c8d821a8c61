#pragma once

// Dense rows of channels as one run, for fused operations, as dense_rows.hpp has them for plain ones.

#include "kernels/bit_runs.hpp"
#include "kernels/dense_rows.hpp"
#include "kernels/fused_runs.hpp"

namespace xbn::kernels {
namespace {

template <class A, class Operation>
class FusedDenseRows {
 public:
  using Bits = BitsOfVectors<typename Operation::MaskByte>;

  // The operation is at the first of `rows` rows of `lanes` lanes. `bits` are those of a mask whose rows are not one
  // run themselves; null: of none.
  FusedDenseRows(const Operation& operation, Index lanes, Index rows, Bits* bits = nullptr)
      : operation_(operation), lanes_(lanes), rows_(rows), bits_(bits) {}

  // Whether they are one run, and none is shorter than a vector.
  bool can_run() {
    const bool adjoin = bits_ != nullptr ? tensors_adjoin(lanes_, operation_) : rows_adjoin(lanes_, operation_);
    return rows_ > 1 && lanes_ >= kLanes && adjoin;
  }

  // Whether that run can be streamed, from some vector on.
  bool can_stream() {
    Operation operation = operation_;
    const Index head = operation.misaligned();
    if (!can_run() || head > rows_ * lanes_ || (bits_ == nullptr && splits_mask(operation, head))) return false;
    move_by(operation, head);
    return operation.can_stream();
  }

  template <Store kStore>
  void run() {
    constexpr bool kStreams = kStore == Store::streaming;
    const Coefficients of_lanes(operation_.coefficients, lanes_);
    const Index head = kStreams ? operation_.misaligned() : 0;
    if (bits_ != nullptr) operation_.mask.at = bits_->of_head();
    if (head > 0) step_first(0, head, of_lanes, 0);
    move_by(operation_, head);
    if (bits_ != nullptr) operation_.mask.at = bits_->of_vectors();
    Index lane = head;
    const Index end = rows_ * lanes_ - head;
    const Index before_line = kStreams ? elements_before_line(operation_) : 0;
    const Index first = step_each<kStore>(0, before_line < end ? before_line : end, of_lanes, lane);
    Index left = first;
    if constexpr (kSideBySide) {
      const Index stream = rows_of_stream((end - first) / lanes_, lanes_, step_of(kStore)) * lanes_;
      step_streams<kStore>(first, stream, of_lanes, lane);
      left += kDenseStreams * stream;
    }
    const Index done = step_each<kStore>(left, end, of_lanes, lane);
    if (done < end) step_first(done, end - done, of_lanes, lane);
  }

 private:
  using Real = typename Operation::Real;
  using Vector = typename Operation::Vector;
  static constexpr int kCoefficients = Operation::kCoefficients;
  using Coefficients = DenseCoefficients<A, Real, kCoefficients>;
  // Elements of a stream at a time.
  static constexpr Index step_of(Store store) { return store == Store::streaming ? Operation::kLine * kLanes : kLanes; }
  // Several vectors at once make long code where registers are narrow; few will run SSE2's.
  static constexpr bool kSideBySide = !std::is_same_v<A, Sse2>;

  // Each of these is a call: with every activation in them, they are long.

  [[gnu::flatten, gnu::noinline]] void step_first(Index i, Index count, const Coefficients& of_lanes, Index lane) {
    Vector coefficient[kCoefficients];
    of_lanes.next(lane, coefficient);
    operation_.template step<1, true, Store::ordinary>(i, {count, count}, coefficient);
  }

  // Whole vectors of [i, end). Returns where it stopped.
  template <Store kStore>
  [[gnu::flatten, gnu::noinline]] Index step_each(Index i, Index end, const Coefficients& of_lanes, Index& lane) {
    const Operation operation = operation_;
    Vector coefficient[kCoefficients];
    for (; i + kLanes <= end; i += kLanes) {
      of_lanes.next(lane, coefficient);
      operation.template step<1, false, kStore>(i, {kLanes, kLanes}, coefficient);
    }
    return i;
  }

  // Streams of whole rows side by side, of which the first begins at i. The lane is the same behind them.
  template <Store kStore>
  [[gnu::flatten, gnu::noinline]] void step_streams(Index i, Index stream, const Coefficients& of_lanes, Index lane) {
    Operation operation = operation_;
    set_step(operation, stream);
    Vector coefficient[kCoefficients];
    for (const Index end = i + stream; i < end; i += step_of(kStore)) {
      if constexpr (kStore == Store::streaming) {
        operation.template step_line<kDenseStreams>(i, [&](int) {
          of_lanes.next(lane, coefficient);
          return coefficient;
        });
      } else {
        of_lanes.next(lane, coefficient);
        operation.template step<kDenseStreams, false, kStore>(i, {kLanes, kLanes}, coefficient);
      }
    }
  }

  Operation operation_;
  Index lanes_;
  Index rows_;
  Bits* bits_;
};

}  // namespace
}  // namespace xbn::kernels
