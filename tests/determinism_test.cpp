#include <algorithm>
#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"
#include "threads.hpp"

namespace xbn::test {
namespace {

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{{2, 24, 6272}, {8, 257, 49}, {3, 7, 8195}, {1, 3, 50000},  {7, 40, 150},
                                      {2000, 33, 1}, {64, 512, 1}, {5, 9, 4},    {20, 20, 1100}, {45, 21, 7}};
  return all;
}

struct Problems {
  Values x;
  Values dy;
  Parameters parameters;
};

Problems make(const Shape& shape) {
  Problems made{generate(Data::normal, shape), {}, random_parameters(shape.channels)};
  made.dy = correlated_gradients(shape, made.x);
  return made;
}

/// What the phases sum up, in double: rounding to float would hide most changes in the order of additions.
struct Sums {
  Doubles mean, m2, dy, dy_x, x;
};

Sums sums_of(const BatchNorm& object, const Problems& data, const Values& saved_mean, const Placement& placement) {
  const Shape shape = shape_of(object);
  const Doubles unset(shape.channels);
  Sums sums{unset, unset, unset, unset, unset};
  const TensorBuffer x(object.problem().layout, shape, placement.x, data.x);
  const TensorBuffer dy(object.problem().layout, shape, placement.dy, data.dy);
  Moments moments{0, sums.mean.data(), sums.m2.data()};
  object.moments({x.input(), &moments, {}});
  GradientSums gradient_sums{0, sums.dy.data(), sums.dy_x.data(), sums.x.data()};
  object.gradient_sums({x.input(), dy.input(), saved_mean.data(), &gradient_sums, {}});
  return sums;
}

/// Results of every operation.
struct Results {
  Trained trained;
  Values inferred;
  Gradients gradients;
  Gradients given_gradients;
  Sums sums;
};

Results run_all(const BatchNorm& object, const Problems& data, const Placement& forward = {},
                const Placement& backward = {}) {
  Results results;
  results.trained = train(object, data.x, data.parameters, forward);
  const Values& mean = results.trained.mean;
  const Values& variance = results.trained.variance;
  results.inferred = infer(object, data.x, data.parameters, mean, variance, forward);
  const Values& gamma = data.parameters.gamma;
  results.gradients = differentiate(object, {Statistics::batch, data.x, data.dy, gamma, mean, variance}, backward);
  results.given_gradients =
      differentiate(object, {Statistics::given, data.x, data.dy, gamma, mean, variance}, backward);
  results.sums = sums_of(object, data, mean, backward);
  return results;
}

void expect_same(const Gradients& actual, const Gradients& expected) {
  EXPECT_TRUE(same_bits(actual.dx, expected.dx)) << "dx";
  EXPECT_TRUE(same_bits(actual.dgamma, expected.dgamma)) << "dgamma";
  EXPECT_TRUE(same_bits(actual.dbeta, expected.dbeta)) << "dbeta";
}

void expect_same(const Results& actual, const Results& expected) {
  EXPECT_TRUE(same_bits(actual.trained.mean, expected.trained.mean)) << "mean";
  EXPECT_TRUE(same_bits(actual.trained.variance, expected.trained.variance)) << "variance";
  EXPECT_TRUE(same_bits(actual.trained.y, expected.trained.y)) << "y of training";
  EXPECT_TRUE(same_bits(actual.inferred, expected.inferred)) << "y of inference";
  expect_same(actual.gradients, expected.gradients);
  expect_same(actual.given_gradients, expected.given_gradients);
  EXPECT_TRUE(same_bits(actual.sums.mean, expected.sums.mean)) << "mean of moments";
  EXPECT_TRUE(same_bits(actual.sums.m2, expected.sums.m2)) << "m2 of moments";
  EXPECT_TRUE(same_bits(actual.sums.dy, expected.sums.dy)) << "sum of dy";
  EXPECT_TRUE(same_bits(actual.sums.dy_x, expected.sums.dy_x)) << "sum of dy * (x - mean)";
  EXPECT_TRUE(same_bits(actual.sums.x, expected.sums.x)) << "sum of x - mean";
}

using Check = std::function<void(const Problem& problem, const Problems& data, const Results& serial)>;

class DeterminismTest : public EveryIsa {
 protected:
  /// Gives each problem, with the results that one thread has computed.
  static void for_each_problem(const Check& check) {
    for (const Shape& shape : shapes()) {
      const Problems data = make(shape);
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        const Problem problem = problem_of(layout, shape);
        check(problem, data, run_all(BatchNorm(problem, {&serial_executor(), {}}), data));
      }
    }
  }
};

TEST_P(DeterminismTest, SevenThreadsTakePart) {
  const Shape shape{16, 64, 784};
  const Problems data = make(shape);
  for (const Layout layout : layouts_of(shape)) {
    SCOPED_TRACE(name(layout));
    const GatheringExecutor gathering(7);
    const Results serial = run_all(BatchNorm(problem_of(layout, shape), {&serial_executor(), {}}), data);
    run_in_arena(7, [&] {
      const BatchNorm object(problem_of(layout, shape), {&gathering, {}});
      expect_same(run_all(object, data), serial);
    });
    EXPECT_EQ(gathering.gathered(), 7);
  }
}

TEST_P(DeterminismTest, AnyNumberOfThreads) {
  for_each_problem([](const Problem& problem, const Problems& data, const Results& serial) {
    for (const int threads : {1, 2, 7}) {
      SCOPED_TRACE(threads);
      run_in_arena(threads, [&] { expect_same(run_all(BatchNorm(problem), data), serial); });
    }
  });
}

TEST_P(DeterminismTest, MoreTilesThanAreKeptApart) {
  for (const auto& [layout, shape] : {std::pair{Layout::ncx, Shape{3, 1, 800001}}, {Layout::nxc, {70000, 64, 1}}}) {
    SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
    const Problems data = make(shape);
    const Problem problem = problem_of(layout, shape);
    const Results serial = run_all(BatchNorm(problem, {&serial_executor(), {}}), data);
    run_in_arena(7, [&] { expect_same(run_all(BatchNorm(problem), data), serial); });
  }
}

TEST_P(DeterminismTest, AnyExecutor) {
  const ShufflingExecutor shuffling(3);
  for_each_problem([&](const Problem& problem, const Problems& data, const Results& serial) {
    expect_same(run_all(BatchNorm(problem, {&shuffling, {}}), data), serial);
  });
}

TEST_P(DeterminismTest, AnyCaches) {
  for_each_problem([](const Problem& problem, const Problems& data, const Results& serial) {
    for (const CacheSizes& caches : {CacheSizes{1 << 12, 1 << 14}, CacheSizes{1 << 12, 1 << 14, std::size_t{1} << 34},
                                     CacheSizes{1 << 17, 1 << 12, 1 << 12}, CacheSizes{1 << 16, 1 << 20},
                                     CacheSizes{1 << 28, std::size_t{1} << 34}}) {
      SCOPED_TRACE(caches.private_bytes);
      run_in_arena(2, [&] { expect_same(run_all(BatchNorm(problem, {nullptr, caches}), data), serial); });
    }
  });
}

TEST_P(DeterminismTest, AnyPitch) {
  const ShufflingExecutor shuffling(2);
  for_each_problem([&](const Problem& problem, const Problems& data, const Results& serial) {
    const BatchNorm object(problem, {&shuffling, {}});
    const Placement slices{Pitch::slice, Pitch::slice, Pitch::slice};
    const Placement mixed{Pitch::padded, Pitch::dense, Pitch::slice};
    expect_same(run_all(object, data, slices, slices), serial);
    expect_same(run_all(object, data, mixed, mixed), serial);
  });
}

TEST_P(DeterminismTest, ConcurrentCallsOfOneObject) {
  for_each_problem([](const Problem& problem, const Problems& data, const Results& serial) {
    const BatchNorm object(problem);
    std::vector<Results> results(4);
    std::vector<std::thread> callers;
    for (Results& result : results) callers.emplace_back([&] { result = run_all(object, data); });
    for (std::thread& caller : callers) caller.join();
    for (const Results& result : results) expect_same(result, serial);
  });
}

/// Per-channel arrays and x are such that many results are denormal.
Problems make_denormal(const Shape& shape) {
  Problems data = make(shape);
  for (float& value : data.x) value *= 1e-38f;
  for (float& value : data.dy) value *= 1e-38f;
  data.parameters.beta.clear();
  return data;
}

bool has_denormals(const Values& values) {
  return std::any_of(values.begin(), values.end(), [](float v) { return std::fpclassify(v) == FP_SUBNORMAL; });
}

TEST_P(DeterminismTest, FlushToZeroIsTheCallersOnEveryThread) {
  const ShufflingExecutor shuffling(3);
  // Small ones: arithmetic on denormals is slow.
  for (const Shape& shape : std::vector<Shape>{{2, 24, 1024}, {8, 257, 9}, {3, 2, 8195}, {2000, 33, 1}, {5, 9, 4}}) {
    const Problems data = make_denormal(shape);
    const Values mean(shape.channels, 0.0f), variance(shape.channels, 1.0f);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      // Epsilon 1, so that results of backward are as small as dy.
      const Problem problem = problem_of(layout, shape, {1});
      for (const bool flush : {false, true}) {
        SCOPED_TRACE(flush ? "flushing" : "not flushing");
        const auto run = [&](const Executor* executor) {
          Results results;
          const BatchNorm object(problem, {executor, {}});
          std::optional<FlushToZero> mode;
          if (flush) mode.emplace();
          results = run_all(object, data);
          results.inferred = infer(object, data.x, data.parameters, mean, variance);
          return results;
        };
        const Results serial = run(&serial_executor());
        EXPECT_EQ(has_denormals(serial.inferred), !flush);
        EXPECT_EQ(has_denormals(serial.gradients.dx), !flush);
        expect_same(run(&shuffling), serial);
        for (const int threads : {1, 2, 7}) {
          SCOPED_TRACE(threads);
          run_in_arena(threads, [&] { expect_same(run(nullptr), serial); });
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, DeterminismTest, testing::ValuesIn(compiled_isas()), isa_name);

TEST(AcrossInstructionSetsTest, Avx2AndAvx512GiveTheSameBits) {
  if (!is_supported(Isa::avx2) || !is_supported(Isa::avx512)) GTEST_SKIP() << "this processor lacks avx2 or avx512";
  for (const std::vector<Shape>& some : {shapes(), edge_shapes()}) {
    for (const Shape& shape : some) {
      const Problems data = make(shape);
      for (const Layout layout : layouts_of(shape)) {
        SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
        const auto run_on = [&](Isa isa) {
          const ForcedIsa forced(isa);
          return run_all(BatchNorm(problem_of(layout, shape)), data);
        };
        expect_same(run_on(Isa::avx512), run_on(Isa::avx2));
      }
    }
  }
}

}  // namespace
}  // namespace xbn::test
