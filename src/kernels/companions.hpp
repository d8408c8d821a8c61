#pragma once

// What runs beside a reduction: a pass that only reads leaves the writing half of memory idle, so the apply pass of one
// slab goes along with the sums of the next, a vector for each vector that the sums take in. A companion changes no
// sum.

#include "kernels/elementwise.hpp"

namespace xbn::kernels {
namespace {

// A place in a run of consecutive elements that share their coefficients, or have those of their lane.
template <class A, class Operation>
struct Run {
  // Of what has no more runs.
  static constexpr Index kNone = -1;

  Streams<Operation> streams;
  Index left;
  Lanes<A> coefficient[Operation::kCoefficients];

  static Run none() {
    Run run{};
    run.left = kNone;
    return run;
  }

  // Does what comes before the destination is aligned.
  template <Store kStore>
  void align() {
    Index head = kStore == Store::streaming ? misaligned_elements(streams.destination) : 0;
    if (head > left) head = left;
    if (head > 0) compute_first<A>(streams, 0, head, coefficient);
    advance(head);
  }

  void advance(Index elements) {
    for (const float*& source : streams.source) source += elements;
    streams.destination += elements;
    left -= elements;
  }
};

// Some of a run, a vector a step. It is used in a loop whose stores could alias anything in memory, and so is kept in
// registers.
template <class A, class Operation, Store kStore>
struct Burst {
  Run<A, Operation> run;
  Index done = 0;

  template <int kVectors>
  void step() {
    static_assert(kVectors == 1);
    put<A, kStore>(compute_at<A>(run.streams, done, run.coefficient), run.streams.destination + done);
    done += kLanes;
  }
};

// Goes through runs. Runs::next(run) does what is left of a run, less than a vector, and returns the next one, aligned
// for the kind of store.
template <class A, class Operation, Store kStore, class Runs>
class Beside {
 public:
  static constexpr bool kWorks = true;

  explicit Beside(Runs& runs) : runs_(runs), run_(runs.first()) {}

  // Whether the run at hand has that many vectors.
  bool has(Index vectors) const { return run_.left >= vectors * kLanes; }

  // The run from here on, and what to say when some of it has been done.
  Burst<A, Operation, kStore> burst() const { return {run_}; }
  void skip(Index vectors) { run_.advance(vectors * kLanes); }

  // About that many vectors.
  void work(Index vectors) {
    while (vectors > 0 && run_.left >= 0) {
      Index whole = run_.left / kLanes;
      if (whole > vectors) whole = vectors;
      apply_vectors<A, Operation, kStore>(run_.streams, 0, whole * kLanes, run_.coefficient);
      run_.advance(whole * kLanes);
      vectors -= whole + 1;
      if (run_.left < kLanes) run_ = runs_.next(run_);
    }
  }

  void finish() {
    constexpr Index kAll = Index{1} << 40;
    work(kAll);
  }

 private:
  Runs& runs_;
  Run<A, Operation> run_;
};

}  // namespace
}  // namespace xbn::kernels
