#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "refusal.hpp"
#include "xbn/activation.hpp"

namespace xbn::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(ActivationArgumentsTest, EachHasAName) {
  EXPECT_EQ(name(ActivationKind::none), "none");
  EXPECT_EQ(name(Activation::relu().kind), "relu");
  EXPECT_EQ(name(Activation::leaky_relu().kind), "leaky_relu");
  EXPECT_EQ(name(Activation::clipped_relu().kind), "clipped_relu");
  EXPECT_EQ(name(Activation::sigmoid().kind), "sigmoid");
  EXPECT_EQ(name(Activation::tanh().kind), "tanh");
  EXPECT_EQ(name(Activation::silu().kind), "silu");
}

TEST(ActivationArgumentsTest, BadOnesAreRefused) {
  float z = 0;
  const auto refused = [&](const Activation& activation) {
    const std::string applying = message_of([&] { apply_activation(activation, DataType::f32, &z, &z, 1); });
    EXPECT_EQ(message_of([&] { activation_gradient(activation, DataType::f32, &z, &z, &z, 1); }), applying);
    return applying;
  };
  constexpr auto no_kind = static_cast<ActivationKind>(7);
  const std::string kinds = "be one of none, relu, leaky_relu, clipped_relu, sigmoid, tanh, silu, was 7";
  EXPECT_EQ(message_of([] { name(no_kind); }), "kind must " + kinds);
  EXPECT_EQ(refused({no_kind}), "activation.kind must " + kinds);
  EXPECT_EQ(refused(Activation::leaky_relu(kInfinity)), "activation.slope must be finite, was inf");
  EXPECT_EQ(refused(Activation::leaky_relu(kNaN)), "activation.slope must be finite, was nan");
  EXPECT_EQ(refused(Activation::clipped_relu(0)), "activation.bound must be finite and greater than 0, was 0");
  EXPECT_EQ(refused(Activation::clipped_relu(kInfinity)),
            "activation.bound must be finite and greater than 0, was inf");
  EXPECT_EQ(message_of([&] { apply_activation({}, DataType::bf16, &z, &z, 1); }), "type must be f32 or f64, was bf16");
  EXPECT_EQ(message_of([&] { apply_activation({}, DataType::f32, &z, &z, -1); }), "count must be at least 0, was -1");
  EXPECT_EQ(message_of([&] { apply_activation({}, DataType::f32, nullptr, &z, 1); }), "z must not be null, was null");
  EXPECT_EQ(message_of([&] { apply_activation({}, DataType::f32, &z, nullptr, 1); }), "y must not be null, was null");
  EXPECT_EQ(message_of([&] { activation_gradient({}, DataType::f32, &z, nullptr, &z, 1); }),
            "dy must not be null, was null");
  EXPECT_EQ(message_of([&] { activation_gradient({}, DataType::f32, &z, &z, nullptr, 1); }),
            "dz must not be null, was null");
}

}  // namespace
}  // namespace xbn::test
