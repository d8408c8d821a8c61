// Whose memory a call works in. This program replaces operator new, so that it can count.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <new>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"
#include "threads.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) != 0) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new[](std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace xbn::test {
namespace {

/// Tensors and arrays for every operation that uses scratch, and the calls.
class Workload {
 public:
  Workload(Layout layout, const Shape& shape)
      : parameters_(random_parameters(shape.channels)),
        mean_(shape.channels),
        variance_(shape.channels),
        dgamma_(shape.channels),
        dbeta_(shape.channels),
        sums_(5, Doubles(shape.channels)),
        x_(layout, shape, Pitch::dense, generate(Data::normal, shape)),
        dy_(layout, shape, Pitch::dense, exact_gradients(shape)),
        y_(layout, shape, Pitch::dense),
        dx_(layout, shape, Pitch::dense),
        moments_{0, sums_[0].data(), sums_[1].data()},
        gradient_sums_{0, sums_[2].data(), sums_[3].data(), sums_[4].data()} {}

  void run(const BatchNorm& object, const Scratch& scratch) {
    ForwardTraining training;
    training.x = x_.input();
    training.y = y_.output();
    training.gamma = parameters_.gamma.data();
    training.beta = parameters_.beta.data();
    training.mean = mean_.data();
    training.variance = variance_.data();
    training.scratch = scratch;
    object.forward_training(training);
    object.forward_inference({x_.input(), y_.output(), parameters_.gamma.data(), parameters_.beta.data(), mean_.data(),
                              variance_.data(), scratch});
    for (const Statistics statistics : {Statistics::given, Statistics::batch}) {
      object.backward({statistics, x_.input(), dy_.input(), parameters_.gamma.data(), mean_.data(), variance_.data(),
                       dx_.output(), dgamma_.data(), dbeta_.data(), scratch});
    }
    if (object.problem().activation.kind != ActivationKind::none) return;  // has no phases
    object.moments({x_.input(), &moments_, scratch});
    object.gradient_sums({x_.input(), dy_.input(), mean_.data(), &gradient_sums_, scratch});
  }

  /// All results, one after the other.
  Doubles results() const {
    Doubles all;
    for (const Values& values : {mean_, variance_, dgamma_, dbeta_, y_.values(), dx_.values()}) {
      all.insert(all.end(), values.begin(), values.end());
    }
    for (const Doubles& sums : sums_) all.insert(all.end(), sums.begin(), sums.end());
    return all;
  }

 private:
  Parameters parameters_;
  Values mean_, variance_, dgamma_, dbeta_;
  std::vector<Doubles> sums_;
  TensorBuffer x_, dy_, y_, dx_;
  Moments moments_;
  GradientSums gradient_sums_;
};

std::size_t allocations_of(const std::function<void()>& function) {
  const std::size_t before = allocations;
  function();
  return allocations - before;
}

/// The fewest of some runs: TBB allocates while its threads start, which is not the library's doing.
std::size_t allocations_with_tbb(const std::function<void()>& function) {
  std::size_t fewest = allocations_of(function);
  for (int run = 0; run < 20 && fewest != 0; ++run) fewest = std::min(fewest, allocations_of(function));
  return fewest;
}

class ScratchTest : public EveryIsa {
 protected:
  template <typename Check>
  static void for_each_case(Check check) {
    std::vector<Shape> shapes = few_shapes();
    shapes.push_back({2, 16, 12544});
    for (const Shape& shape : shapes) {
      for (const Layout layout : layouts_of(shape)) {
        for (const Activation& activation : {Activation{}, Activation::silu()}) {
          SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)) + " " + std::string(name(activation.kind)));
          Problem problem = problem_of(layout, shape);
          problem.activation = activation;
          check(problem, shape);
        }
      }
    }
  }
};

TEST_P(ScratchTest, TheCounterCounts) {
  EXPECT_EQ(allocations_of([] { delete new int; }), 1u);
  EXPECT_EQ(allocations_of([] { Values(1000); }), 1u);
}

TEST_P(ScratchTest, NoneIsAllocatedInACallWithTheCallers) {
  for_each_case([](const Problem& problem, const Shape& shape) {
    Workload workload(problem.layout, shape);
    const BatchNorm serial(problem, {&serial_executor(), {}}), parallel(problem);
    std::vector<char> memory(serial.scratch_bytes());
    const Scratch scratch{memory.data(), memory.size()};
    EXPECT_EQ(allocations_of([&] { workload.run(serial, scratch); }), 0u);
    EXPECT_EQ(allocations_with_tbb([&] { workload.run(parallel, scratch); }), 0u);
  });
}

TEST_P(ScratchTest, NoneIsAllocatedAfterTheFirstCallWithout) {
  for_each_case([](const Problem& problem, const Shape& shape) {
    Workload workload(problem.layout, shape);
    const BatchNorm serial(problem, {&serial_executor(), {}}), parallel(problem);
    workload.run(serial, {});
    workload.run(parallel, {});
    EXPECT_EQ(allocations_of([&] { workload.run(serial, {}); }), 0u);
    EXPECT_EQ(allocations_with_tbb([&] { workload.run(parallel, {}); }), 0u);
  });
}

TEST_P(ScratchTest, OfAnyAlignmentAndNotAByteMore) {
  for_each_case([](const Problem& problem, const Shape& shape) {
    Workload workload(problem.layout, shape);
    const BatchNorm object(problem);
    workload.run(object, {});
    const Doubles expected = workload.results();
    const std::size_t bytes = object.scratch_bytes();
    for (const std::size_t beyond : {0, 1, 4, 24}) {
      SCOPED_TRACE(beyond);
      // Ends `beyond` bytes before an inaccessible page.
      const GuardedMemory memory((bytes + beyond) / sizeof(float) + 1);
      char* end = reinterpret_cast<char*>(memory.data() + memory.size());
      workload.run(object, {end - beyond - bytes, bytes});
      EXPECT_EQ(workload.results(), expected);
      EXPECT_TRUE(memory.front_is_intact());
    }
  });
}

TEST_P(ScratchTest, DoesNotDependOnThreads) {
  for_each_case([](const Problem& problem, const Shape&) {
    const std::size_t serial = BatchNorm(problem, {&serial_executor(), {}}).scratch_bytes();
    for (const int threads : {1, 2, 7}) {
      run_in_arena(threads, [&] { EXPECT_EQ(BatchNorm(problem).scratch_bytes(), serial); });
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, ScratchTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
