#pragma once

// Fused operations beside the sums of another slab, as companions.hpp has them for plain ones.

#include "kernels/fused_apply.hpp"

namespace xbn::kernels {
namespace {

// Some of a run, a vector a step.
template <class Operation, Store kStore>
struct FusedBurst {
  Operation operation;
  typename Operation::Vector coefficient[Operation::kCoefficients];
  Index done = 0;

  template <int kVectors>
  void step() {
    static_assert(kVectors == 1);
    operation.template step<1, false, kStore>(done, {kLanes, kLanes}, coefficient);
    done += kLanes;
  }
};

// Goes through the runs of a tile of planes or blocks without void positions. Blocks that are not runs, or cannot be
// stored as wanted, are done by `others` as they are met.
template <class A, class Operation, class Others, Store kStore>
class FusedBeside {
 public:
  static constexpr bool kWorks = true;

  FusedBeside(const Operation& operation, Others& others, const FusedExtent& extent)
      : operation_(operation), others_(others), extent_(extent) {
    begin();
  }

  bool has(Index vectors) const { return left_ >= vectors * kLanes; }

  FusedBurst<Operation, kStore> burst() const {
    FusedBurst<Operation, kStore> result{operation_, {}};
    for (int i = 0; i < kCoefficients; ++i) result.coefficient[i] = coefficient_[i];
    return result;
  }
  void skip(Index vectors) {
    move_by(operation_, vectors * kLanes);
    left_ -= vectors * kLanes;
  }

  // About that many vectors. A call: the loops that this goes along with inline all that they can.
  [[gnu::noinline]] void work(Index vectors) {
    while (vectors > 0 && left_ >= 0) {
      Index whole = left_ / kLanes;
      if (whole > vectors) whole = vectors;
      apply_vectors(whole);
      skip(whole);
      vectors -= whole + 1;
      if (left_ >= kLanes) continue;
      finish_run();
      advance();
      begin();
    }
  }

  void finish() {
    constexpr Index kAll = Index{1} << 40;
    work(kAll);
  }

 private:
  using Vector = typename Operation::Vector;
  static constexpr int kCoefficients = Operation::kCoefficients;
  // Where there are no more runs.
  static constexpr Index kNone = -1;

  [[gnu::flatten, gnu::noinline]] void apply_vectors(Index count) const {
    FusedBurst<Operation, kStore> some = burst();
    for (Index i = 0; i < count; ++i) some.template step<1>();
  }

  void advance() {
    if (++block_ < extent_.blocks) return;
    block_ = 0;
    ++image_;
  }

  // At the next run from here on.
  void begin() {
    for (; extent_.blocks > 0 && image_ < extent_.images; advance()) {
      move_to(operation_, image_, block_, 0);
      if (!begins_run()) {
        others_.apply(image_, block_);
      } else if (left_ >= kLanes) {
        return;
      } else {
        finish_run();
      }
    }
    left_ = kNone;
  }

  bool begins_run() {
    if (!is_run(extent_, block_, operation_)) return false;
    const Index elements = run_elements(extent_, extent_.positions);
    const Index head = kStore == Store::streaming ? head_before_streaming(operation_, extent_, elements) : 0;
    if (head < 0) return false;
    splits_mask_ = splits_mask(operation_, head);
    if (splits_mask_ && elements > kMostBits) return false;
    if (splits_mask_) {
      bits_.begin(operation_.mask.at, 0, 1, elements, head);
      operation_.mask.at = bits_.of_head();
    }
    coefficients_of_block<A>(operation_, extent_, block_, coefficient_);
    if (head > 0) operation_.template step<1, true, Store::ordinary>(0, {head, head}, coefficient_);
    move_by(operation_, head);
    if (splits_mask_) operation_.mask.at = bits_.of_vectors();
    left_ = elements - head;
    return true;
  }

  // What is less than a vector.
  void finish_run() {
    if (left_ > 0) operation_.template step<1, true, kStore>(0, {left_, left_}, coefficient_);
    if (splits_mask_) bits_.end();
  }

  Operation operation_;
  Others& others_;
  FusedExtent extent_;
  Index image_ = 0;
  Index block_ = 0;
  Index left_ = kNone;  // elements of the run at hand
  Vector coefficient_[kCoefficients];
  bool splits_mask_ = false;
  BitsOfVectors<typename Operation::MaskByte> bits_;
};

}  // namespace
}  // namespace xbn::kernels
