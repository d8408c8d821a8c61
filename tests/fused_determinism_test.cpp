// The same bits, whatever the machine and the memory are like.

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#include "bounds.hpp"
#include "every_isa.hpp"
#include "fused_cases.hpp"
#include "threads.hpp"

namespace xbn::test {
namespace {

/// Of every call that the problem has.
struct Results {
  FusedOutputs trained;
  FusedOutputs inferred;
  FusedOutputs folded;
  FusedResults gradients;
  FusedResults given;
};

struct Case {
  Problem problem;  ///< layout to be chosen
  FusedInputs in;
  Doubles saved_mean, saved_variance;
};

bool is_large(const Problem& problem) { return shape_of(problem).elements() > 100000; }

bool is_integer(DataType type) { return type == DataType::s8 || type == DataType::u8; }

Case make_case(const Problem& problem) {
  Case made{problem, make_inputs(problem, 3), {}, {}};
  if (problem.backward_from_output) {
    const FusedStatistics of = given_statistics(made.in);
    for (const long double y : forward_of(problem, made.in, pre_activation(problem, made.in, of)).value) {
      made.in.y.push_back(static_cast<double>(rounded_to(problem.source, y)));
    }
  }
  return made;
}

/// A spread of every kind, small ones and some beyond a megabyte.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    using enum DataType;
    std::vector<Case> made;
    const auto add = [&](const Problem& problem) { made.push_back(make_case(problem)); };
    const Shape small[] = {{2, 24, 30}, {5, 17, 9}, {40, 40, 1}, {1, 1, 8300}, {3, 65, 4}};
    std::size_t i = 0;
    for (const TypePair& types : trained_types()) {
      for (std::size_t k = 0; k < 2; ++k, ++i) {
        Problem problem = fused_problem(small[i % std::size(small)], types.source, types.destination,
                                        every_activation()[(3 * i + k) % every_activation().size()]);
        problem.residual = k == 1;
        problem.lengths = i % 3 == 0;
        problem.weights = i % 4 == 1;
        add(problem);
      }
    }
    // Large: tiles, chunks, slabs.
    Problem large = fused_problem({4, 40, 1700}, f32, f32, Activation::relu());
    large.residual = true;
    add(large);
    large = fused_problem({12, 24, 784}, bf16, bf16, Activation::silu());
    large.lengths = large.weights = true;
    add(large);
    add(fused_problem({2000, 66, 1}, f64, f64, Activation::leaky_relu()));
    add(fused_problem({1, 5, 40000}, f16, f32, Activation::tanh()));
    large = fused_problem({12, 33, 500}, f16, f16, Activation::relu());
    large.residual = true;
    add(large);
    // From the output.
    for (const auto& [type, shape] : {std::pair{f32, Shape{5, 17, 49}}, {bf16, {6, 40, 100}}, {f64, {3, 9, 2}}}) {
      Problem problem = fused_problem(shape, type, type, type == f64 ? Activation::tanh() : Activation::sigmoid());
      problem.backward_from_output = true;
      add(problem);
    }
    for (const auto& [source, destination] : {std::pair{s8, s8}, {u8, f32}, {f32, u8}}) {
      add(fused_problem({3, 40, 300}, source, destination, Activation::relu()));
    }
    return made;
  }();
  return all;
}

Results run_all(const Case& of, const BatchNorm& object, std::size_t placement_index, bool dense = true) {
  const Problem& problem = object.problem();
  FusedPlacement placement = placement_of(problem, placement_index);
  if (dense) placement = {};
  placement.mask = problem.activation.kind == ActivationKind::relu;
  Results results;
  results.inferred = run_inference(object, of.in, placement);
  results.folded = run_folded(object, of.in, placement);
  if (is_integer(problem.source) || is_integer(problem.destination)) return results;
  results.trained = run_training(object, of.in, placement);
  FusedInputs saved = of.in;
  if (problem.backward_from_output) {
    saved.x.clear();
  } else {
    saved.mean = results.trained.mean;
    saved.variance = results.trained.variance;
  }
  placement.place = dense ? Place::separate : placement_index % 2 == 0 ? Place::first : Place::separate;
  results.gradients = run_backward(object, Statistics::batch, saved, placement, {}, results.trained.mask);
  placement.mask = false;
  results.given = run_backward(object, Statistics::given, of.problem.backward_from_output ? saved : of.in, placement);
  return results;
}

void expect_same(const FusedOutputs& actual, const FusedOutputs& expected, const char* call) {
  EXPECT_TRUE(same_bits(actual.y, expected.y)) << "y of " << call;
  EXPECT_TRUE(same_bits(actual.mean, expected.mean)) << "mean";
  EXPECT_TRUE(same_bits(actual.variance, expected.variance)) << "variance";
  EXPECT_TRUE(actual.mask == expected.mask) << "mask of " << call;
}

void expect_same(const FusedResults& actual, const FusedResults& expected, const char* statistics) {
  EXPECT_TRUE(same_bits(actual.dx, expected.dx)) << "dx, " << statistics;
  EXPECT_TRUE(same_bits(actual.dgamma, expected.dgamma)) << "dgamma, " << statistics;
  EXPECT_TRUE(same_bits(actual.dbeta, expected.dbeta)) << "dbeta, " << statistics;
  EXPECT_TRUE(same_bits(actual.d_residual, expected.d_residual)) << "d_residual, " << statistics;
  EXPECT_EQ(actual.saturated, expected.saturated) << statistics;
}

void expect_same(const Results& actual, const Results& expected) {
  expect_same(actual.trained, expected.trained, "training");
  expect_same(actual.inferred, expected.inferred, "inference");
  expect_same(actual.folded, expected.folded, "folded");
  expect_same(actual.gradients, expected.gradients, "batch statistics");
  expect_same(actual.given, expected.given, "given statistics");
}

class FusedDeterminismTest : public EveryIsa {
 protected:
  /// Calls check(case, problem, what one thread computes, i): small cases in two layouts, large ones in one, in turn.
  template <class Check>
  static void for_each_case(Check check) {
    for (std::size_t i = 0; i < cases().size(); ++i) {
      const Case& of = cases()[i];
      const std::vector<Layout> layouts = layouts_of(shape_of(of.problem));
      for (std::size_t k = 0; k < (is_large(of.problem) ? 1U : 2U); ++k) {
        Problem problem = of.problem;
        problem.layout = layouts[(i + 2 * k) % layouts.size()];
        SCOPED_TRACE(to_string(problem));
        check(of, problem, run_all(of, BatchNorm(problem, {&serial_executor(), {}}), 0), i);
      }
    }
  }
};

TEST_P(FusedDeterminismTest, AnyNumberOfThreads) {
  for_each_case([](const Case& of, const Problem& problem, const Results& serial, std::size_t) {
    for (const int threads : {1, 2, 7}) {
      SCOPED_TRACE(threads);
      run_in_arena(threads, [&] { expect_same(run_all(of, BatchNorm(problem), 0), serial); });
    }
  });
}

// Tiny caches stream and cut everything into slabs; huge ones keep all.
TEST_P(FusedDeterminismTest, AnyCaches) {
  for_each_case([](const Case& of, const Problem& problem, const Results& serial, std::size_t) {
    constexpr std::size_t kib = 1024;
    const CacheSizes sizes[] = {{2 * kib, 4 * kib},
                                {2 * kib, 4 * kib, 1048576 * kib},
                                {128 * kib, 4 * kib, 4 * kib},
                                {64 * kib, 256 * kib},
                                {65536 * kib, 1048576 * kib}};
    for (const CacheSizes& caches : sizes) {
      SCOPED_TRACE(testing::Message() << "caches of " << caches.private_bytes);
      if (!is_large(problem)) expect_same(run_all(of, BatchNorm(problem, {&serial_executor(), caches}), 0), serial);
      run_in_arena(4, [&] { expect_same(run_all(of, BatchNorm(problem, {nullptr, caches}), 0), serial); });
    }
  });
}

// With caches so small that even small problems are shared out.
TEST_P(FusedDeterminismTest, AnyExecutor) {
  for_each_case([](const Case& of, const Problem& problem, const Results& serial, std::size_t) {
    const ShufflingExecutor shuffling(3);
    expect_same(run_all(of, BatchNorm(problem, {&shuffling, {2048, 4096}}), 0), serial);
  });
}

// Padded, sliced and in place, with caches that would stream.
TEST_P(FusedDeterminismTest, AnyPlacement) {
  for_each_case([](const Case& of, const Problem& problem, const Results& serial, std::size_t i) {
    const CacheSizes tiny{2048, 4096};
    for (const std::size_t k : {i, i + 1, i + 5}) {
      SCOPED_TRACE(testing::Message() << "placement " << k);
      expect_same(run_all(of, BatchNorm(problem, {nullptr, k % 2 == 0 ? tiny : CacheSizes{}}), k, false), serial);
    }
  });
}

// Several tiles of an image, and several images, that are applied together.
TEST_P(FusedDeterminismTest, AnySharing) {
  using enum DataType;
  for (const Shape& shape : {Shape{2, 16, 12000}, Shape{9, 33, 500}, Shape{18, 20, 49}}) {
    const Case of = make_case(fused_problem(shape, bf16, bf16, Activation::relu()));
    for (const Layout layout : layouts_of(shape)) {
      Problem problem = of.problem;
      problem.layout = layout;
      SCOPED_TRACE(to_string(problem));
      const Results serial = run_all(of, BatchNorm(problem, {&serial_executor(), {}}), 0);
      for (const int threads : {1, 2, 7}) {
        SCOPED_TRACE(threads);
        const CacheSizes tiny{2048, 4096};
        run_in_arena(threads, [&] { expect_same(run_all(of, BatchNorm(problem, {nullptr, tiny}), 0), serial); });
      }
    }
  }
}

// Runs and rows of odd numbers of vectors: what is streamed in lines of several vectors begins and ends within one.
TEST_P(FusedDeterminismTest, LinesOfAnyType) {
  using enum DataType;
  for (const TypePair& types :
       {TypePair{f32, f32}, {bf16, bf16}, {f16, f32}, {f32, bf16}, {s8, s8}, {u8, u8}, {f32, u8}}) {
    for (const Shape& shape : {Shape{9, 6, 528}, Shape{4, 112, 99}, Shape{8, 16, 400}, Shape{1, 2, 8192}}) {
      Problem problem = fused_problem(shape, types.source, types.destination, Activation::relu());
      problem.residual = !is_integer(types.source) && !is_integer(types.destination);
      const Case of = make_case(problem);
      for (const Layout layout : layouts_of(shape)) {
        problem.layout = layout;
        SCOPED_TRACE(to_string(problem));
        const Results kept = run_all(of, BatchNorm(problem, {&serial_executor(), {1 << 20, 1 << 30}}), 0);
        expect_same(run_all(of, BatchNorm(problem, {&serial_executor(), {2048, 4096}}), 0), kept);
      }
    }
  }
}

// Dense rows are one run, streamed or not, in which vectors begin anywhere in a row; padded ones are taken one by one.
TEST_P(FusedDeterminismTest, RowsOfAnyLength) {
  using enum DataType;
  for (const TypePair& types :
       {TypePair{f32, f32}, {bf16, bf16}, {f16, f32}, {f32, bf16}, {f64, f64}, {s8, s8}, {f32, u8}}) {
    for (const std::int64_t channels : {1, 3, 8, 15, 17, 24, 40, 100, 616}) {
      Problem problem = fused_problem({2, channels, 130}, types.source, types.destination, Activation::relu());
      problem.residual = !is_integer(types.source) && !is_integer(types.destination);
      problem.layout = Layout::nxc;
      SCOPED_TRACE(to_string(problem));
      const Case of = make_case(problem);
      const Results kept = run_all(of, BatchNorm(problem, {&serial_executor(), {1 << 20, 1 << 30}}), 0);
      const BatchNorm streaming(problem, {&serial_executor(), {2048, 4096}});
      expect_same(run_all(of, streaming, 0), kept);
      for (const std::size_t placement : {1, 2, 3}) expect_same(run_all(of, streaming, placement, false), kept);
    }
  }
}

// Rows whose bits of a mask are more than are packed at a time.
TEST_P(FusedDeterminismTest, LongRows) {
  Problem problem = fused_problem({5, 33001, 1}, DataType::f32, DataType::f32, Activation::relu());
  problem.layout = Layout::nxc;
  const Case of = make_case(problem);
  const Results kept = run_all(of, BatchNorm(problem, {&serial_executor(), {1 << 20, 1 << 30}}), 0);
  expect_same(run_all(of, BatchNorm(problem, {&serial_executor(), {2048, 4096}}), 0), kept);
}

// Planes begin anywhere in a line, and vectors that are streamed anywhere in a byte of the mask; of blocks, the last
// has few channels.
TEST_P(FusedDeterminismTest, PlanesOfAnyLength) {
  using enum DataType;
  for (const TypePair& types : {TypePair{f32, f32}, {bf16, bf16}, {f16, f32}, {f32, bf16}, {f64, f64}, {s8, u8}}) {
    for (const Shape& shape : {Shape{5, 3, 9},
                               {5, 7, 2},
                               {9, 52, 10},
                               {3, 200, 8},
                               {4, 60, 15},
                               {5, 3, 49},
                               {5, 3, 729},
                               {9, 1, 1369},
                               {4, 3, 3249},
                               {2, 1, 33001},
                               {5, 12, 57},
                               {5, 21, 81}}) {
      Problem problem = fused_problem(shape, types.source, types.destination, Activation::relu());
      problem.residual = !is_integer(types.source);
      for (const Layout layout : {Layout::ncx, Layout::nCx8c, Layout::nCx16c}) {
        if (layout != Layout::ncx && shape.channels < 12) continue;
        problem.layout = layout;
        SCOPED_TRACE(to_string(problem));
        const Case of = make_case(problem);
        const Results kept = run_all(of, BatchNorm(problem, {&serial_executor(), {1 << 20, 1 << 30}}), 0);
        const BatchNorm streaming(problem, {&serial_executor(), {2048, 4096}});
        expect_same(run_all(of, streaming, 0), kept);
        const BatchNorm overlapped(problem, {&serial_executor(), {2048, 4096, std::size_t{1} << 34}});
        const BatchNorm looking_ahead(problem, {&serial_executor(), {1 << 17, 4096, 4096}});
        for (const std::size_t placement : {1, 2, 3}) {
          expect_same(run_all(of, streaming, placement, false), kept);
          expect_same(run_all(of, overlapped, placement, false), kept);
          expect_same(run_all(of, looking_ahead, placement, false), kept);
        }
      }
    }
  }
}

// Channels that lie side by side are rows, others are taken one by one; a mask has a byte for each element.
TEST_P(FusedDeterminismTest, PlanesOfOnePosition) {
  using enum DataType;
  for (const TypePair& types : {TypePair{f32, f32}, {bf16, bf16}, {f16, f32}, {f64, f64}, {s8, u8}}) {
    for (const Shape& shape : {Shape{1, 5, 1}, {9, 3, 1}, {40, 21, 1}, {700, 65, 1}, {3, 1000, 1}}) {
      Problem problem = fused_problem(shape, types.source, types.destination, Activation::relu());
      problem.residual = !is_integer(types.source);
      problem.lengths = shape.channels == 21;
      SCOPED_TRACE(to_string(problem));
      const Case of = make_case(problem);
      const Results kept = run_all(of, BatchNorm(problem, {&serial_executor(), {1 << 20, 1 << 30}}), 0);
      const BatchNorm streaming(problem, {&serial_executor(), {2048, 4096}});
      for (const std::size_t placement : {1, 2, 3, 4, 5}) {
        SCOPED_TRACE(placement);
        expect_same(run_all(of, streaming, placement, false), kept);
      }
      run_in_arena(7, [&] { expect_same(run_all(of, BatchNorm(problem, {nullptr, {2048, 4096}}), 0), kept); });
    }
  }
}

TEST_P(FusedDeterminismTest, SevenThreadsTakePart) {
  const Problem problem = [] {
    Problem made = fused_problem({8, 64, 784}, DataType::bf16, DataType::bf16, Activation::relu());
    made.residual = true;
    return made;
  }();
  const Case of = make_case(problem);
  for (const Layout layout : {Layout::ncx, Layout::nxc}) {
    Problem with_layout = problem;
    with_layout.layout = layout;
    SCOPED_TRACE(to_string(with_layout));
    const Results serial = run_all(of, BatchNorm(with_layout, {&serial_executor(), {}}), 0);
    const GatheringExecutor gathering(7);
    run_in_arena(7, [&] { expect_same(run_all(of, BatchNorm(with_layout, {&gathering, {}}), 0), serial); });
    EXPECT_EQ(gathering.gathered(), 7);
  }
}

TEST_P(FusedDeterminismTest, OnEveryInstructionSetWithFusedMultiplyAdd) {
  if (GetParam() == Isa::sse2 || !is_supported(Isa::avx2)) GTEST_SKIP() << "has none, or nothing to compare with";
  for_each_case([](const Case& of, const Problem& problem, const Results& serial, std::size_t) {
    force_isa(Isa::avx2);
    const BatchNorm other(problem);
    force_isa(GetParam());
    expect_same(run_all(of, other, 0), serial);
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, FusedDeterminismTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
