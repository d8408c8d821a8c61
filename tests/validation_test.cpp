// Bad input to the problem and to the whole operations.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "spoiled_call.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn {
namespace {

using test::Arena;
using test::batch;
using test::channels;
using test::expect_refused;
using test::floats;
using test::message_of;
using test::Setting;
using test::Spoiled;

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

TEST(Validation, OfTheProblem) {
  const Problem legal{Layout::ncx, 2, 3, 4};
  const auto call = [](const Problem& problem) { BatchNorm{problem}; };
  expect_refused<Problem>(
      call, legal, Arena(),
      {{[](Problem& p) { p.layout = static_cast<Layout>(5); }, "problem.layout", "5"},
       {[](Problem& p) { p.layout = static_cast<Layout>(-1); }, "problem.layout", "-1"},
       {[](Problem& p) { p.layout = Layout::nc; }, "problem.spatial", "4"},
       {[](Problem& p) { p.batch = -1; }, "problem.batch", "-1"},
       {[](Problem& p) { p.channels = 0; }, "problem.channels", "0"},
       {[](Problem& p) { p.channels = -3; }, "problem.channels", "-3"},
       {[](Problem& p) { p.spatial = -4; }, "problem.spatial", "-4"},
       {[](Problem& p) { p.batch = max_int64; }, "batch * channels * spatial",
        "9223372036854775807 * 3 * 4 in layout ncx"},
       {[](Problem& p) { p.spatial = max_int64 / 8; }, "batch * channels * spatial",
        "2 * 3 * 1152921504606846975 in layout ncx"},
       {[](Problem& p) { p.channels = max_int64; }, "problem.channels", "9223372036854775807"},
       {[](Problem& p) { p.epsilon = -1e-5; }, "problem.epsilon", "-1e-05"},
       {[](Problem& p) { p.epsilon = infinity; }, "problem.epsilon", "inf"},
       {[](Problem& p) { p.epsilon = not_a_number; }, "problem.epsilon", "nan"},
       {[](Problem& p) { p.epsilon_placement = static_cast<EpsilonPlacement>(2); }, "problem.epsilon_placement", "2"}});
  EXPECT_NO_THROW(call({Layout::nCx8c, 0, 3, 0, 0.0}));
}

TEST(Validation, OfRunningUpdates) {
  for (const double momentum : {-0.1, 1.5, infinity, not_a_number}) {
    EXPECT_EQ(message_of([&] { RunningUpdate::pytorch(momentum); }).find("momentum must be from 0 to 1, was "), 0U);
    EXPECT_EQ(message_of([&] { RunningUpdate::onnx(momentum); }).find("momentum must be from 0 to 1, was "), 0U);
  }
  EXPECT_EQ(message_of([] { RunningUpdate::pytorch(1.5); }), "momentum must be from 0 to 1, was 1.5");
  EXPECT_EQ(message_of([] { RunningUpdate::cumulative_average(-1); }), "batches_before must be at least 0, was -1");
  EXPECT_EQ(message_of([] { RunningUpdate::pytorch(0.1, static_cast<VarianceEstimate>(7)); }),
            "estimate must be population or unbiased, was 7");
}

TEST(RunningUpdate, TurnsEachConventionIntoTheWeightOfTheBatch) {
  EXPECT_EQ(RunningUpdate::pytorch(0.25).batch_weight, 0.25);
  EXPECT_EQ(RunningUpdate::pytorch().estimate, VarianceEstimate::unbiased);
  EXPECT_EQ(RunningUpdate::onnx(0.25).batch_weight, 0.75);
  EXPECT_EQ(RunningUpdate::onnx().estimate, VarianceEstimate::population);
  EXPECT_EQ(RunningUpdate::cumulative_average(0).batch_weight, 1);
  EXPECT_EQ(RunningUpdate::cumulative_average(3).batch_weight, 0.25);
  EXPECT_GT(RunningUpdate::cumulative_average(max_int64).batch_weight, 0);
}

class TensorValidation : public testing::TestWithParam<Layout> {};

INSTANTIATE_TEST_SUITE_P(Layouts, TensorValidation,
                         testing::Values(Layout::nc, Layout::ncx, Layout::nxc, Layout::nCx8c, Layout::nCx16c),
                         [](const auto& layout) { return std::string(name(layout.param)); });

TEST_P(TensorValidation, OfStrides) {
  const Layout layout = GetParam();
  Setting setting(layout);
  ForwardFolded legal;
  legal.x = setting.tensor();
  legal.y = setting.tensor();
  legal.scale = setting.array();
  legal.shift = setting.array();

  using Case = Spoiled<ForwardFolded>;
  std::vector<Case> cases;
  const auto add = [&](std::int64_t Strides::*member, const std::string& argument, std::int64_t value) {
    cases.push_back(
        {[=](ForwardFolded& a) { a.x.strides.*member = value; }, "x.strides." + argument, std::to_string(value)});
    cases.push_back(
        {[=](ForwardFolded& a) { a.y.strides.*member = value; }, "y.strides." + argument, std::to_string(value)});
  };
  const Strides dense = dense_strides(layout, batch, channels, setting.problem.spatial);
  add(&Strides::batch, "batch", dense.batch - 1);
  add(&Strides::batch, "batch", -dense.batch);
  if (dense.channel != 0) {
    add(&Strides::channel, "channel", dense.channel - 1);
    add(&Strides::channel, "channel", -dense.channel);
  } else {
    add(&Strides::channel, "channel", 1);
  }
  if (dense.position != 0) {
    add(&Strides::position, "position", dense.position - 1);
    add(&Strides::position, "position", std::numeric_limits<std::int64_t>::min());
  } else {
    add(&Strides::position, "position", 1);
  }
  // A stride that is dense in itself, but not around a pitch within it that is larger than dense.
  cases.push_back({[=](ForwardFolded& a) {
                     a.x.strides = dense;
                     if (dense.channel != 0) ++a.x.strides.channel;
                     if (dense.position != 0 && dense.channel == 0) ++a.x.strides.position;
                     if (layout == Layout::nc) --a.x.strides.batch;
                   },
                   "x.strides.batch", std::to_string(layout == Layout::nc ? dense.batch - 1 : dense.batch)});
  expect_refused<ForwardFolded>([&](const ForwardFolded& args) { setting.object.forward_folded(args); }, legal,
                                setting.arena, cases);
}

TEST_P(TensorValidation, OfTensorsLargerThanTheAddressSpace) {
  Setting setting(GetParam());
  ForwardFolded args;
  args.x = setting.tensor();
  args.y = setting.tensor();
  args.scale = setting.array();
  args.shift = setting.array();
  const std::string begin = "y must lie within the address space, was at address ";
  for (const std::int64_t pitch : {max_int64, max_int64 / 2, max_int64 / 4 + 1, max_int64 / 8 + 1}) {
    args.y.strides = {pitch, 0, 0};
    const std::string message = message_of([&] { setting.object.forward_folded(args); });
    EXPECT_EQ(message.find(begin), 0U) << message;
    EXPECT_NE(message.find("batch " + std::to_string(pitch)), std::string::npos) << message;
  }
}

TEST_P(TensorValidation, IgnoresTheStridesOfDimensionsOfOneElement) {
  const Problem problem{GetParam(), 1, 1, 1};
  const BatchNorm object(problem);
  const Strides dense = dense_strides(problem.layout, 1, 1, 1);
  std::vector<float> x(16), y(16);
  const float scale = 1, shift = 0;
  for (const std::int64_t stride : {std::int64_t{-1}, std::int64_t{1}, max_int64}) {
    const Strides strides{stride, dense.channel != 0 ? stride : 0, dense.position != 0 ? stride : 0};
    EXPECT_NO_THROW(object.forward_folded({{x.data(), strides}, {y.data(), strides}, nullptr, &scale, &shift}));
    EXPECT_NO_THROW(object.forward_folded({{x.data(), strides}, x.data(), nullptr, &scale, &shift}));
  }
}

TEST(Validation, OfForwardTraining) {
  Setting s(Layout::nCx8c);
  float* const x = s.tensor();
  ForwardTraining legal;
  legal.x = x;
  legal.y = s.tensor();
  legal.gamma = s.array();
  legal.beta = s.array();
  legal.mean = s.array();
  legal.variance = s.array();
  legal.running.mean = s.array();
  legal.running.variance = s.array();
  legal.scratch = s.scratch();
  using A = ForwardTraining;
  const std::size_t too_few = s.object.scratch_bytes() - 1;
  expect_refused<A>(
      [&](const A& args) { s.object.forward_training(args); }, legal, s.arena,
      {{[](A& a) { a.x.data = nullptr; }, "x", "null"},
       {[](A& a) { a.y.data = nullptr; }, "y", "null"},
       {[](A& a) { a.mean = nullptr; }, "mean", "null"},
       {[](A& a) { a.variance = nullptr; }, "variance", "null"},
       {[](A& a) { a.running.mean = nullptr; }, "running.mean", "null"},
       {[](A& a) { a.running.variance = nullptr; }, "running.variance", "null"},
       {[](A& a) { a.running.update.batch_weight = -0.5; }, "running.update.batch_weight", "-0.5"},
       {[](A& a) { a.running.update.batch_weight = 1.5; }, "running.update.batch_weight", "1.5"},
       {[](A& a) { a.running.update.batch_weight = not_a_number; }, "running.update.batch_weight", "nan"},
       {[](A& a) { a.running.update.estimate = static_cast<VarianceEstimate>(2); }, "running.update.estimate", "2"},
       {[&](A& a) { a.scratch.bytes = too_few; }, "scratch.bytes", std::to_string(too_few)},
       {[&](A& a) { a.scratch.bytes = std::numeric_limits<std::size_t>::max(); }, "scratch.data",
        "at address " + std::to_string(reinterpret_cast<std::uintptr_t>(legal.scratch.data)) + " with " +
            std::to_string(std::numeric_limits<std::size_t>::max()) + " bytes"},
       {[&](A& a) { a.y.data = x + 8; }, "y",
        "32 bytes after x with strides {batch 144, channel 48, position 8}, x's being {batch 144, channel 48, "
        "position 8}"},
       {[&](A& a) {
          a.y = Output(x, {200, 0, 0});
        },
        "y", "at x with strides {batch 200, channel 48, position 8}, x's being {batch 144, channel 48, position 8}"},
       {[](A& a) { a.mean = a.variance; }, "variance", "at mean"},
       {[](A& a) { a.mean = a.variance + channels - 1; }, "variance", "76 bytes before mean"},
       {[](A& a) { a.mean = const_cast<float*>(a.gamma) + 1; }, "mean", "4 bytes after gamma"},
       {[](A& a) { a.variance = const_cast<float*>(a.beta); }, "variance", "at beta"},
       {[](A& a) { a.mean = floats(a.y) + 3; }, "mean", "12 bytes after y"},
       {[&](A& a) { a.mean = x + 3; }, "mean", "12 bytes after x"},
       {[](A& a) { a.running.mean = a.mean; }, "running.mean", "at mean"},
       {[](A& a) { a.running.variance = a.running.mean; }, "running.variance", "at running.mean"},
       {[](A& a) { a.gamma = floats(a.y); }, "y", "at gamma"},
       {[](A& a) { a.scratch.data = floats(a.y); }, "scratch.data", "at y"},
       {[](A& a) { a.scratch.data = floats(a.x); }, "scratch.data", "at x"},
       {[](A& a) { a.scratch.data = const_cast<float*>(a.beta); }, "scratch.data", "at beta"}});
  EXPECT_NO_THROW([&] {
    A args = legal;
    args.gamma = args.beta;
    args.y = x;
    args.running.mean = args.running.variance = nullptr;
    s.object.forward_training(args);
  }());
}

TEST(Validation, OfTrainingOverNothing) {
  std::vector<float> memory(100, 5.0F);
  for (const Problem& problem : {Problem{Layout::ncx, 0, 3, 4}, Problem{Layout::nxc, 2, 3, 0}}) {
    ForwardTraining args;
    args.x = memory.data();
    args.y = memory.data() + 50;
    args.mean = memory.data() + 90;
    args.variance = memory.data() + 95;
    EXPECT_EQ(message_of([&] { BatchNorm(problem).forward_training(args); }),
              "problem.batch * problem.spatial must be at least 1 for statistics over the batch, was " +
                  std::to_string(problem.batch) + " * " + std::to_string(problem.spatial));
    EXPECT_EQ(memory, std::vector<float>(100, 5.0F));
  }
}

TEST(Validation, OfForwardInference) {
  Setting s(Layout::nxc);
  float* const x = s.tensor();
  ForwardInference legal;
  legal.x = x;
  legal.y = s.tensor();
  legal.gamma = s.array();
  legal.beta = s.array();
  legal.mean = s.array();
  legal.variance = s.array();
  legal.scratch = s.scratch();
  using A = ForwardInference;
  expect_refused<A>([&](const A& args) { s.object.forward_inference(args); }, legal, s.arena,
                    {{[](A& a) { a.x.data = nullptr; }, "x", "null"},
                     {[](A& a) { a.y.data = nullptr; }, "y", "null"},
                     {[](A& a) { a.mean = nullptr; }, "mean", "null"},
                     {[](A& a) { a.variance = nullptr; }, "variance", "null"},
                     {[](A& a) { a.scratch.bytes = 0; }, "scratch.bytes", "0"},
                     {[](A& a) { a.gamma = floats(a.y) + 1; }, "y", "4 bytes before gamma"},
                     {[](A& a) { a.beta = floats(a.y) + 1; }, "y", "4 bytes before beta"},
                     {[](A& a) { a.mean = floats(a.y) + 1; }, "y", "4 bytes before mean"},
                     {[](A& a) { a.variance = floats(a.y) + 1; }, "y", "4 bytes before variance"},
                     {[](A& a) { a.scratch.data = const_cast<float*>(a.mean); }, "scratch.data", "at mean"},
                     {[&](A& a) { a.y.data = x - 1; }, "y",
                      "4 bytes before x with strides {batch 120, channel 0, position 20}, x's being {batch 120, "
                      "channel 0, position 20}"}});
}

TEST(Validation, OfForwardFolded) {
  Setting s(Layout::ncx);
  ForwardFolded legal;
  legal.x = s.tensor();
  legal.y = s.tensor();
  legal.mean = s.array();
  legal.scale = s.array();
  legal.shift = s.array();
  using A = ForwardFolded;
  expect_refused<A>([&](const A& args) { s.object.forward_folded(args); }, legal, s.arena,
                    {{[](A& a) { a.x.data = nullptr; }, "x", "null"},
                     {[](A& a) { a.y.data = nullptr; }, "y", "null"},
                     {[](A& a) { a.scale = nullptr; }, "scale", "null"},
                     {[](A& a) { a.shift = nullptr; }, "shift", "null"},
                     {[](A& a) { a.mean = floats(a.y); }, "y", "at mean"},
                     {[](A& a) { a.scale = floats(a.y); }, "y", "at scale"},
                     {[](A& a) { a.shift = floats(a.y); }, "y", "at shift"}});
}

struct BackwardSetting : Setting {
  BackwardSetting() : Setting(Layout::nCx16c) {
    legal.x = tensor();
    legal.dy = tensor();
    legal.gamma = array();
    legal.mean = array();
    legal.variance = array();
    legal.dx = tensor();
    legal.dgamma = array();
    legal.dbeta = array();
    legal.scratch = scratch();
  }

  Backward legal;
};

TEST(Validation, OfBackward) {
  BackwardSetting s;
  const float* const x = floats(s.legal.x);
  using A = Backward;
  const std::string strides = "{batch 192, channel 96, position 16}";
  expect_refused<A>([&](const A& args) { s.object.backward(args); }, s.legal, s.arena,
                    {{[](A& a) { a.statistics = static_cast<Statistics>(2); }, "statistics", "2"},
                     {[](A& a) { a.x.data = nullptr; }, "x", "null"},
                     {[](A& a) { a.dy.data = nullptr; }, "dy", "null"},
                     {[](A& a) { a.mean = nullptr; }, "mean", "null"},
                     {[](A& a) { a.variance = nullptr; }, "variance", "null"},
                     {[](A& a) { a.scratch.bytes = 1; }, "scratch.bytes", "1"},
                     {[](A& a) { a.x.strides.position = 15; }, "x.strides.position", "15"},
                     {[](A& a) { a.dy.strides.position = 15; }, "dy.strides.position", "15"},
                     {[](A& a) { a.dx.strides.position = 15; }, "dx.strides.position", "15"},
                     {[&](A& a) { a.dx.data = const_cast<float*>(x) + 1; }, "dx",
                      "4 bytes after x with strides " + strides + ", x's being " + strides},
                     {[](A& a) { a.dx.data = floats(a.dy) - 1; }, "dx",
                      "4 bytes before dy with strides " + strides + ", dy's being " + strides},
                     {[](A& a) { a.gamma = floats(a.dx); }, "dx", "at gamma"},
                     {[](A& a) { a.mean = floats(a.dx); }, "dx", "at mean"},
                     {[](A& a) { a.variance = floats(a.dx); }, "dx", "at variance"},
                     {[](A& a) { a.dgamma = floats(a.dx); }, "dgamma", "at dx"},
                     {[](A& a) { a.dgamma = const_cast<float*>(a.gamma); }, "dgamma", "at gamma"},
                     {[](A& a) { a.dbeta = floats(a.dy); }, "dbeta", "at dy"},
                     {[](A& a) { a.dbeta = a.dgamma; }, "dbeta", "at dgamma"},
                     {[](A& a) { a.scratch.data = a.dbeta; }, "scratch.data", "at dbeta"},
                     {[](A& a) { a.scratch.data = floats(a.dy); }, "scratch.data", "at dy"}});
}

TEST(Validation, OfBackwardLetsDxBeDyOrX) {
  BackwardSetting s;
  s.legal.dx = floats(s.legal.dy);
  EXPECT_NO_THROW(s.object.backward(s.legal));
  s.legal.dx = floats(s.legal.x);
  EXPECT_NO_THROW(s.object.backward(s.legal));
  s.legal.dx = floats(s.legal.x);
  s.legal.dy = s.legal.x;
  EXPECT_NO_THROW(s.object.backward(s.legal));
}

TEST(Validation, OfBackwardNeedsXAndMeanWhereTheyAreRead) {
  BackwardSetting s;
  s.legal.x = {};
  s.legal.statistics = Statistics::given;
  EXPECT_EQ(message_of([&] { s.object.backward(s.legal); }), "x must not be null, was null");
  s.legal.dgamma = nullptr;
  s.legal.mean = nullptr;
  EXPECT_NO_THROW(s.object.backward(s.legal));
  // Nor may an x that is not read stand in the way of dx.
  s.legal.x = Input(floats(s.legal.dx) + 1);
  EXPECT_NO_THROW(s.object.backward(s.legal));
  s.legal.dx = {};
  s.legal.dbeta = nullptr;
  EXPECT_NO_THROW(s.object.backward(s.legal));
}

TEST(Validation, OfEmptyBatchesLetsTensorsBeNull) {
  Setting s(Layout::nCx8c, 0);
  float* const array = s.array();
  const std::vector<double> before = s.arena.contents();
  ForwardInference inference;
  inference.mean = inference.variance = array;
  EXPECT_NO_THROW(s.object.forward_inference(inference));
  ForwardFolded folded;
  folded.scale = folded.shift = array;
  EXPECT_NO_THROW(s.object.forward_folded(folded));
  Backward backward;
  backward.mean = backward.variance = array;
  EXPECT_NO_THROW(s.object.backward(backward));
  EXPECT_EQ(s.arena.contents(), before);

  inference.mean = nullptr;
  EXPECT_EQ(message_of([&] { s.object.forward_inference(inference); }), "mean must not be null, was null");
  folded.x.strides.position = -1;
  EXPECT_EQ(message_of([&] { s.object.forward_folded(folded); }),
            "x.strides.position must be 0 or at least 8 (the dense pitch), was -1");
}

}  // namespace
}  // namespace xbn
