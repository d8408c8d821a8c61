// Which problems of types and fusions are refused, and how.

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "fused_cases.hpp"
#include "refusal.hpp"

namespace xbn::test {
namespace {

constexpr DataType kTypes[] = {DataType::f32, DataType::f64, DataType::bf16, DataType::f16, DataType::s8, DataType::u8};

Problem small_problem(DataType source = DataType::f32, DataType destination = DataType::f32) {
  Problem problem{Layout::ncx, 2, 3, 4};
  problem.source = source;
  problem.destination = destination;
  return problem;
}

std::string refusal_of(const Problem& problem) {
  return message_of([&] { const BatchNorm object(problem); });
}

const std::string kNothing = "nothing was thrown";

TEST(FusedProblemTest, PairsOfTypes) {
  const auto expected = [](DataType source, DataType destination) -> std::string {
    const auto [list, allowed] = [&]() -> std::pair<std::string, std::vector<DataType>> {
      using enum DataType;
      switch (source) {
        case f32:
          return {"one of f32, bf16, f16, s8, u8", {f32, bf16, f16, s8, u8}};
        case f64:
          return {"f64", {f64}};
        case bf16:
          return {"one of bf16, f32", {bf16, f32}};
        case f16:
          return {"one of f16, f32", {f16, f32}};
        default:
          return {"one of s8, u8, f32", {s8, u8, f32}};
      }
    }();
    for (const DataType type : allowed) {
      if (type == destination) return kNothing;
    }
    return "problem.destination must be " + list + " with source " + std::string(name(source)) + ", was " +
           std::string(name(destination));
  };
  for (const DataType source : kTypes) {
    for (const DataType destination : kTypes) {
      EXPECT_EQ(refusal_of(small_problem(source, destination)), expected(source, destination));
    }
  }
}

TEST(FusedProblemTest, TypesThatAreNone) {
  EXPECT_EQ(refusal_of(small_problem(static_cast<DataType>(6))),
            "problem.source must be one of f32, f64, bf16, f16, s8, u8, was 6");
  EXPECT_EQ(refusal_of(small_problem(DataType::f32, static_cast<DataType>(-1))),
            "problem.destination must be one of f32, f64, bf16, f16, s8, u8, was -1");
}

TEST(FusedProblemTest, Activations) {
  const auto with = [](const Activation& activation) {
    Problem problem = small_problem();
    problem.activation = activation;
    return refusal_of(problem);
  };
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(with({static_cast<ActivationKind>(7)}),
            "problem.activation.kind must be one of none, relu, leaky_relu, clipped_relu, sigmoid, tanh, silu, was 7");
  EXPECT_EQ(with(Activation::leaky_relu(nan)), "problem.activation.slope must be finite, was nan");
  EXPECT_EQ(with(Activation::leaky_relu(-infinity)), "problem.activation.slope must be finite, was -inf");
  EXPECT_EQ(with(Activation::clipped_relu(0)), "problem.activation.bound must be finite and greater than 0, was 0");
  EXPECT_EQ(with(Activation::clipped_relu(-6)), "problem.activation.bound must be finite and greater than 0, was -6");
  EXPECT_EQ(with(Activation::clipped_relu(infinity)),
            "problem.activation.bound must be finite and greater than 0, was inf");
  EXPECT_EQ(with(Activation::clipped_relu(nan)), "problem.activation.bound must be finite and greater than 0, was nan");
  // Parameters that the activation has not are not looked at; a negative slope is one.
  EXPECT_EQ(with({ActivationKind::relu, nan, -1}), kNothing);
  EXPECT_EQ(with(Activation::leaky_relu(-0.5F)), kNothing);
  for (const Activation& activation : every_activation()) EXPECT_EQ(with(activation), kNothing);
}

TEST(FusedProblemTest, Integers) {
  for (const auto& [source, destination] :
       {TypePair{DataType::s8, DataType::s8}, {DataType::u8, DataType::f32}, {DataType::f32, DataType::u8}}) {
    Problem problem = small_problem(source, destination);
    problem.lengths = true;
    for (const Activation& activation : every_activation()) {
      problem.activation = activation;
      EXPECT_EQ(refusal_of(problem), kNothing);
    }
    Problem other = problem;
    other.residual = true;
    EXPECT_EQ(refusal_of(other), "problem.residual must be false with s8 and u8, was true");
    other = problem;
    other.weights = true;
    EXPECT_EQ(refusal_of(other), "problem.weights must be false with s8 and u8, was true");
    other = problem;
    other.activation = {};
    other.backward_from_output = true;
    EXPECT_EQ(refusal_of(other), "problem.backward_from_output must be false with s8 and u8, was true");
  }
}

TEST(FusedProblemTest, BackwardFromTheOutput) {
  Problem problem = small_problem();
  problem.backward_from_output = true;
  for (const Activation& activation : every_activation()) {
    problem.activation = activation;
    const ActivationKind kind = activation.kind;
    const bool has_none =
        kind == ActivationKind::relu || kind == ActivationKind::clipped_relu || kind == ActivationKind::silu;
    EXPECT_EQ(refusal_of(problem),
              has_none ? "problem.activation.kind must have an inverse (none, leaky_relu, sigmoid, tanh) with "
                         "backward_from_output, was " +
                             std::string(name(kind))
                       : kNothing);
  }
  problem.activation = Activation::leaky_relu(0);
  EXPECT_EQ(refusal_of(problem), "problem.activation.slope must be more than 0 with backward_from_output, was 0");
  problem.activation.slope = -0.5F;
  EXPECT_EQ(refusal_of(problem), "problem.activation.slope must be more than 0 with backward_from_output, was -0.5");
  problem.activation = {};
  problem.residual = true;
  EXPECT_EQ(refusal_of(problem), "problem.residual must be false with backward_from_output, was true");
  problem.residual = false;
  problem.destination = DataType::bf16;
  EXPECT_EQ(refusal_of(problem), "problem.destination must be the source's type with backward_from_output, was bf16");
}

TEST(FusedProblemTest, MoreBytesThanAnAddressHas) {
  Problem problem = small_problem(DataType::f64, DataType::f64);
  problem.batch = std::int64_t{1} << 57;
  EXPECT_EQ(refusal_of(problem).rfind("problem.batch * channels * spatial must take at most 2^63 - 1 bytes", 0), 0U)
      << refusal_of(problem);
}

}  // namespace
}  // namespace xbn::test
