// Which arguments of types and fusions are refused, and how.

#include <array>
#include <gtest/gtest.h>
#include <string_view>
#include <tuple>

#include "fused_cases.hpp"
#include "refusal.hpp"

namespace xbn::test {
namespace {

constexpr DataType kTypes[] = {DataType::f32, DataType::f64, DataType::bf16, DataType::f16, DataType::s8, DataType::u8};

bool is_integer(DataType type) { return type == DataType::s8 || type == DataType::u8; }

Problem small_problem(DataType source = DataType::f32, DataType destination = DataType::f32) {
  Problem problem{Layout::ncx, 2, 3, 4};
  problem.source = source;
  problem.destination = destination;
  return problem;
}

const std::string kNothing = "nothing was thrown";

/// Memory enough for any argument of a small problem, of any type.
class FusedCallTest : public testing::Test {
 protected:
  using Memory = std::array<double, 64>;

  template <class Real>
  static Real* real(Memory& memory) {
    return reinterpret_cast<Real*>(memory.data());
  }

  template <class Real>
  BasicForwardTraining<Real> training(const Problem& problem) {
    BasicForwardTraining<Real> args;
    forward(args, problem);
    args.mean = real<Real>(mean_);
    args.variance = real<Real>(variance_);
    return args;
  }
  template <class Real>
  BasicForwardInference<Real> inference(const Problem& problem) {
    BasicForwardInference<Real> args;
    forward(args, problem);
    args.mean = real<Real>(mean_);
    args.variance = real<Real>(variance_);
    return args;
  }
  template <class Real>
  BasicForwardFolded<Real> folded(const Problem& problem) {
    BasicForwardFolded<Real> args;
    forward(args, problem);
    args.scale = real<Real>(mean_);
    args.shift = real<Real>(variance_);
    return args;
  }
  template <class Real>
  BasicBackward<Real> backward(const Problem& problem) {
    BasicBackward<Real> args;
    (problem.backward_from_output ? args.y : args.x) = {x_.data(), problem.source};
    args.dy = {dy_.data(), problem.destination};
    args.dx = {y_.data(), problem.source};
    args.mean = real<Real>(mean_);
    args.variance = real<Real>(variance_);
    if (problem.residual) args.residual = {residual_.data(), problem.destination};
    if (problem.residual) args.d_residual = {d_residual_.data(), problem.destination};
    if (problem.lengths) args.lengths = lengths_.data();
    if (problem.weights) args.weights = real<Real>(weights_);
    if (problem.backward_from_output) args.saturated = saturated_.data();
    return args;
  }
  template <class Args>
  void forward(Args& args, const Problem& problem) {
    args.x = {x_.data(), problem.source};
    args.y = {y_.data(), problem.destination};
    if (problem.residual) args.residual = {residual_.data(), problem.destination};
    if (problem.lengths) args.lengths = lengths_.data();
    if constexpr (requires { args.weights; }) {
      if (problem.weights)
        args.weights = real<std::remove_const_t<std::remove_pointer_t<decltype(args.gamma)>>>(weights_);
    }
  }

  void SetUp() override {
    real<float>(weights_)[0] = 1;
    real<float>(weights_)[1] = 2;
  }

  /// Calls check(call, with), for each of the calls that a problem of float has; `call` runs it on arguments that are
  /// right but for what `change` does to them.
  template <class Change>
  std::vector<std::string> refusals(const Problem& problem, Change change) {
    const BatchNorm object(problem);
    const auto run = [&](auto args, auto call) {
      change(args);
      return message_of([&] { (object.*call)(args); });
    };
    std::vector<std::string> all;
    const bool integers = is_integer(problem.source) || is_integer(problem.destination);
    if (!integers && !problem.backward_from_output) {
      all.push_back(run(training<float>(problem),
                        static_cast<void (BatchNorm::*)(const ForwardTraining&) const>(&BatchNorm::forward_training)));
    }
    all.push_back(run(inference<float>(problem),
                      static_cast<void (BatchNorm::*)(const ForwardInference&) const>(&BatchNorm::forward_inference)));
    all.push_back(run(folded<float>(problem),
                      static_cast<void (BatchNorm::*)(const ForwardFolded&) const>(&BatchNorm::forward_folded)));
    if (!integers) {
      all.push_back(
          run(backward<float>(problem), static_cast<void (BatchNorm::*)(const Backward&) const>(&BatchNorm::backward)));
    }
    return all;
  }

  template <class Change>
  void expect_all(const Problem& problem, const std::string& expected, Change change) {
    for (const std::string& refusal : refusals(problem, change)) EXPECT_EQ(refusal, expected);
  }

  Memory x_{}, y_{}, dy_{}, residual_{}, d_residual_{}, mean_{}, variance_{}, weights_{};
  std::array<std::int64_t, 3> lengths_{4, 2, 0}, saturated_{};
  std::array<std::uint8_t, 64> mask_{};
};

TEST_F(FusedCallTest, TheArgumentsOfThisTestAreRight) {
  for (const TypePair& types : trained_types()) {
    if (types.source == DataType::f64) continue;
    for (int fusions = 0; fusions < 8; ++fusions) {
      Problem problem = small_problem(types.source, types.destination);
      problem.residual = (fusions & 1) != 0;
      problem.lengths = (fusions & 2) != 0;
      problem.weights = (fusions & 4) != 0;
      expect_all(problem, kNothing, [](auto&) {});
    }
  }
}

TEST_F(FusedCallTest, TypesOfTensors) {
  for (const TypePair& types : trained_types()) {
    if (types.source == DataType::f64) continue;
    Problem problem = small_problem(types.source, types.destination);
    problem.residual = true;
    for (const DataType wrong : kTypes) {
      const std::string was = std::string(", was ").append(name(wrong));
      const std::string source = std::string("must be ").append(name(types.source)) + was;
      const std::string destination = std::string("must be ").append(name(types.destination)) + was;
      if (wrong != types.source) expect_all(problem, "x.type " + source, [&](auto& args) { args.x.type = wrong; });
      if (wrong == types.destination) continue;
      for (const std::string& refusal : refusals(problem, [&](auto& args) {
             if constexpr (requires { args.dy; }) {
               args.dy.type = wrong;
             } else {
               args.y.type = wrong;
             }
           })) {
        EXPECT_TRUE(refusal == "y.type " + destination || refusal == "dy.type " + destination) << refusal;
      }
      const BatchNorm object(problem);
      auto forward_args = training<float>(problem);
      forward_args.residual.type = wrong;
      EXPECT_EQ(message_of([&] { object.forward_training(forward_args); }), "residual.type " + destination);
      auto args = backward<float>(problem);
      args.d_residual.type = wrong;
      EXPECT_EQ(message_of([&] { object.backward(args); }), "d_residual.type " + destination);
    }
    const BatchNorm object(problem);
    auto args = backward<float>(problem);
    args.dx.type = DataType::u8;
    EXPECT_EQ(message_of([&] { object.backward(args); }),
              std::string("dx.type must be ").append(name(types.source)) + ", was u8");
  }
}

TEST_F(FusedCallTest, StructsOfTheOtherReal) {
  const auto refused = [](const char* call, const std::string& types, bool is_wide) {
    const std::string wide = std::string(call) + "64";
    return "args must be " + (is_wide ? std::string(call) : wide) + " where the problem's types are " + types +
           ", was " + (is_wide ? wide : std::string(call));
  };
  for (const auto& [source, destination] : {TypePair{DataType::f32, DataType::f32}, {DataType::bf16, DataType::f32}}) {
    const Problem problem = small_problem(source, destination);
    const BatchNorm object(problem);
    const std::string types = std::string(name(source)) + " and " + std::string(name(destination));
    EXPECT_EQ(message_of([&] { object.forward_training(training<double>(problem)); }),
              refused("ForwardTraining", types, true));
    EXPECT_EQ(message_of([&] { object.forward_inference(inference<double>(problem)); }),
              refused("ForwardInference", types, true));
    EXPECT_EQ(message_of([&] { object.forward_folded(folded<double>(problem)); }),
              refused("ForwardFolded", types, true));
    EXPECT_EQ(message_of([&] { object.backward(backward<double>(problem)); }), refused("Backward", types, true));
  }
  const Problem problem = small_problem(DataType::f64, DataType::f64);
  const BatchNorm object(problem);
  const std::string types = "f64 and f64";
  EXPECT_EQ(message_of([&] { object.forward_training(training<float>(problem)); }),
            refused("ForwardTraining", types, false));
  EXPECT_EQ(message_of([&] { object.forward_inference(inference<float>(problem)); }),
            refused("ForwardInference", types, false));
  EXPECT_EQ(message_of([&] { object.forward_folded(folded<float>(problem)); }), refused("ForwardFolded", types, false));
  EXPECT_EQ(message_of([&] { object.backward(backward<float>(problem)); }), refused("Backward", types, false));
}

TEST_F(FusedCallTest, IntegersAreNotTrained) {
  for (const auto& [source, destination, which] : {std::tuple{DataType::s8, DataType::f32, "source"},
                                                   {DataType::u8, DataType::u8, "source"},
                                                   {DataType::f32, DataType::s8, "destination"}}) {
    const Problem problem = small_problem(source, destination);
    const BatchNorm object(problem);
    const std::string member = std::string("problem.") + which;
    const std::string was(name(std::string_view(which) == "source" ? source : destination));
    const auto expected = [&](const char* call) {
      return member + " must be one of f32, f64, bf16, f16 for " + call + ", was " + was;
    };
    EXPECT_EQ(message_of([&] { object.forward_training(training<float>(problem)); }), expected("forward_training"));
    EXPECT_EQ(message_of([&] { object.backward(backward<float>(problem)); }), expected("backward"));
  }
}

TEST_F(FusedCallTest, Masks) {
  for (const Activation& activation : every_activation()) {
    Problem problem = small_problem();
    problem.activation = activation;
    const bool has = activation.kind == ActivationKind::relu;
    expect_all(problem, has ? kNothing : "mask must be null where the activation is not relu, was not null",
               [&](auto& args) { args.mask = mask_.data(); });
  }
}

TEST_F(FusedCallTest, Residuals) {
  Problem problem = small_problem();
  problem.activation = Activation::relu();
  expect_all(problem, "residual must be null where problem.residual is false, was not null",
             [&](auto& args) { args.residual = real<float>(residual_); });
  problem.residual = true;
  expect_all(problem, "residual must not be null, was null", [](auto& args) { args.residual.data = nullptr; });
  problem.residual = false;
  auto args = backward<float>(problem);
  args.d_residual = real<float>(d_residual_);
  EXPECT_EQ(message_of([&] { BatchNorm(problem).backward(args); }),
            "d_residual must be null where problem.residual is false, was not null");
}

TEST_F(FusedCallTest, LengthsAndWeights) {
  Problem problem = small_problem();
  expect_all(problem, "lengths must be null where problem.lengths is false, was not null",
             [&](auto& args) { args.lengths = lengths_.data(); });
  const auto give_weights = [&](auto& args) {
    if constexpr (requires { args.weights; }) args.weights = real<float>(weights_);
  };
  for (const std::string& refusal : refusals(problem, give_weights)) {
    EXPECT_TRUE(refusal == kNothing || refusal == "weights must be null where problem.weights is false, was not null");
  }
  problem.lengths = true;
  lengths_[0] = 5;
  expect_all(problem, "lengths[0] must be from 0 to 4, was 5", [](auto&) {});
  expect_all(problem, "lengths must not be null, was null", [](auto& args) { args.lengths = nullptr; });
}

TEST_F(FusedCallTest, BackwardFromTheOutput) {
  Problem problem = small_problem();
  problem.activation = Activation::tanh();
  const Problem from_x = problem;
  problem.backward_from_output = true;
  const BatchNorm object(problem), plain(from_x);
  const auto refusal = [&](const Backward& args) { return message_of([&] { object.backward(args); }); };
  std::array<float, 3> gamma{1, -0.5F, 0.25F}, beta{64, -32, 16};
  auto args = backward<float>(problem);
  args.gamma = gamma.data();
  args.beta = beta.data();
  EXPECT_EQ(refusal(args), kNothing);
  beta[1] = 32.5F;
  EXPECT_EQ(refusal(args), "beta[1] must be at most 64 |gamma| = 32 where backward recovers x from y, was 32.5");
  gamma[1] = 0;
  EXPECT_EQ(refusal(args), "gamma[1] must not be 0 where backward recovers x from y, was 0");
  args = backward<float>(problem);
  args.saturated = nullptr;
  EXPECT_EQ(refusal(args), "saturated must not be null, was null");
  args = backward<float>(problem);
  args.x = real<float>(dy_);
  EXPECT_EQ(refusal(args), "x must be null where problem.backward_from_output is true, was not null");
  args = backward<float>(problem);
  args.y.data = nullptr;
  EXPECT_EQ(refusal(args), "y must not be null, was null");

  auto other = backward<float>(from_x);
  other.y = real<float>(y_);
  EXPECT_EQ(message_of([&] { plain.backward(other); }),
            "y must be null where problem.backward_from_output is false, was not null");
  other = backward<float>(from_x);
  other.saturated = saturated_.data();
  EXPECT_EQ(message_of([&] { plain.backward(other); }),
            "saturated must be null where problem.backward_from_output is false, was not null");
}

// Refused before anything is read or written of the rest.
TEST_F(FusedCallTest, OverlapOfWhatFusionsAdd) {
  Problem problem = small_problem();
  problem.activation = Activation::relu();
  problem.residual = true;
  const BatchNorm object(problem);
  auto args = training<float>(problem);
  args.mask = reinterpret_cast<std::uint8_t*>(y_.data()) + 4;
  EXPECT_NE(message_of([&] { object.forward_training(args); }).find("mask must overlap nothing else"),
            std::string::npos);
  args = training<float>(problem);
  args.residual = real<float>(y_) + 1;
  EXPECT_NE(message_of([&] { object.forward_training(args); }).find("y must share no element with residual"),
            std::string::npos);
  args.residual = real<float>(y_);
  EXPECT_EQ(message_of([&] { object.forward_training(args); }), kNothing);
  auto gradients = backward<float>(problem);
  gradients.d_residual = gradients.dx;
  EXPECT_NE(message_of([&] { object.backward(gradients); }), kNothing);
  gradients.d_residual = Output(dy_.data(), DataType::f32);
  EXPECT_EQ(message_of([&] { object.backward(gradients); }), kNothing);
}

TEST_F(FusedCallTest, PhasesArePlainOnly) {
  std::vector<Problem> problems(7, small_problem());
  problems[0].source = problems[0].destination = DataType::f64;
  problems[1].destination = DataType::bf16;
  problems[2].activation = Activation::relu();
  problems[3].residual = true;
  problems[4].backward_from_output = true;
  problems[5].lengths = true;
  problems[6].weights = true;
  const std::string expected =
      "problem must be of f32, without activation, residual, backward_from_output, lengths and weights, for the "
      "phases, "
      "was another";
  for (const Problem& problem : problems) {
    const BatchNorm object(problem);
    Moments moments{1, mean_.data(), variance_.data()}, more{1, dy_.data(), residual_.data()};
    GradientSums sums{1, mean_.data(), variance_.data(), weights_.data()};
    GradientSums more_sums{1, dy_.data(), residual_.data(), y_.data()};
    const float* const array = real<float>(d_residual_);
    EXPECT_EQ(message_of([&] { object.moments({Input(x_.data(), problem.source), &moments, {}}); }), expected);
    EXPECT_EQ(message_of([&] { object.merge(moments, more); }), expected);
    EXPECT_EQ(message_of([&] { object.merge(sums, more_sums); }), expected);
    FinaliseArgs finalise;
    finalise.moments = &moments;
    EXPECT_EQ(message_of([&] { object.finalise(finalise); }), expected);
    GradientSumsArgs sums_args;
    sums_args.sums = &sums;
    EXPECT_EQ(message_of([&] { object.gradient_sums(sums_args); }), expected);
    FinaliseGradientArgs finalise_gradient;
    finalise_gradient.sums = &sums;
    finalise_gradient.variance = array;
    EXPECT_EQ(message_of([&] { object.finalise(finalise_gradient); }), expected);
    GradientApply apply;
    apply.a = array;
    EXPECT_EQ(message_of([&] { object.gradient_apply(apply); }), expected);
  }
}

}  // namespace
}  // namespace xbn::test
