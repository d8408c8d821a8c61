#include "xbn/activation.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

#include "every_isa.hpp"
#include "isa.hpp"
#include "kernels/kernel_table.hpp"
#include "threads.hpp"

namespace xbn::test {
namespace {

const Activation kSmooth[] = {Activation::sigmoid(), Activation::tanh(), Activation::silu()};
const Activation kAll[] = {{},
                           Activation::relu(),
                           Activation::leaky_relu(0.25F),
                           Activation::clipped_relu(6.0F),
                           Activation::sigmoid(),
                           Activation::tanh(),
                           Activation::silu()};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStride = 257 * 64;
#else
constexpr std::uint64_t kStride = 257;
#endif

template <typename Real>
constexpr DataType kType = std::is_same_v<Real, double> ? DataType::f64 : DataType::f32;

// Oracles, in arithmetic wide enough that their errors do not count: double for float, long double for double.

template <typename Wide>
Wide sigmoid(Wide z) {
  const Wide e = std::exp(-std::fabs(z));
  return (z < 0 ? e : Wide{1}) / (1 + e);
}

template <typename Wide>
Wide value(ActivationKind kind, Wide z) {
  if (kind == ActivationKind::sigmoid) return sigmoid(z);
  if (kind == ActivationKind::tanh) return std::tanh(z);
  return z == -std::numeric_limits<Wide>::infinity() ? Wide{0} : z * sigmoid(z);
}

template <typename Wide>
Wide sigmoid_derivative(Wide z) {
  const Wide e = std::exp(-std::fabs(z));
  return e / ((1 + e) * (1 + e));
}

template <typename Wide>
Wide derivative(ActivationKind kind, Wide z) {
  if (kind == ActivationKind::sigmoid) return sigmoid_derivative(z);
  if (kind == ActivationKind::tanh) return 4 * sigmoid_derivative(2 * z);
  return std::isinf(z) ? (z > 0 ? Wide{1} : Wide{0}) : sigmoid(z) + z * sigmoid_derivative(z);
}

template <typename Wide>
Wide inverse(ActivationKind kind, Wide y) {
  if (kind == ActivationKind::tanh) return std::atanh(y);
  return y > Wide(0.25) && y < Wide(0.75) ? 2 * std::atanh(2 * y - 1) : std::log(y) - std::log1p(-y);
}

/// |found - expected| in units in the last place of |expected|, or of `at_least` where that is more.
template <typename Real, typename Wide>
double ulps(Real found, Wide expected, double at_least = static_cast<double>(std::numeric_limits<Real>::min())) {
  if (std::isnan(expected)) return std::isnan(found) ? 0 : HUGE_VAL;
  const auto nearest = static_cast<Real>(expected);
  if (std::isinf(nearest) || std::isinf(found)) return found == nearest ? 0 : HUGE_VAL;
  int exponent = 0;
  std::frexp(std::max(std::fabs(expected), static_cast<Wide>(at_least)), &exponent);
  const Wide error = std::fabs(static_cast<Wide>(found) - expected);
  const auto result = static_cast<double>(std::ldexp(error, std::numeric_limits<Real>::digits - exponent));
  return std::isnan(result) ? HUGE_VAL : result;
}

template <typename Real>
std::vector<Real> specials() {
  using Limits = std::numeric_limits<Real>;
  std::vector<Real> numbers;
  for (const Real z :
       {Real(0), Limits::denorm_min(), Limits::min(), Limits::max(), Limits::infinity(), Limits::quiet_NaN(), Real(1),
        Real(0.5), Real(1.278464542761074), Real(20), Real(22), Real(44)}) {
    numbers.insert(numbers.end(), {z, -z});
  }
  // Where e^-|z| becomes subnormal, and nothing.
  for (const double z : {87.3, 88.7, 103.2, 104.0, 110.0, 120.0, 121.0, 708.3, 709.7, 744.4, 745.2, 800.0, 801.0}) {
    for (int i = -300; i <= 300; ++i) {
      numbers.insert(numbers.end(), {Real(z + i * 0.01), -Real(z + i * 0.01)});
      numbers.insert(numbers.end(), {Real((z + i * 0.01) / 2), -Real((z + i * 0.01) / 2)});
    }
  }
  return numbers;
}

/// Blocks of every `kStride`th bit pattern, the specials in the first.
void for_each_block(const std::function<void(const std::vector<float>&)>& check) {
  constexpr std::size_t block = 1 << 16;
  std::vector<float> floats = specials<float>();
  for (std::uint64_t bits = 0; bits < 1ULL << 32U; bits += kStride) {
    floats.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    if (floats.size() < block) continue;
    check(floats);
    floats.clear();
  }
  check(floats);
}

void for_each_block(const std::function<void(const std::vector<double>&)>& check) {
  constexpr int blocks = kStride == 257 ? 24 : 1;
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(-60, 11);
  check(specials<double>());
  for (int block = 0; block < blocks; ++block) {
    std::vector<double> doubles;
    for (int i = 0; i < 1 << 15; ++i) {
      doubles.push_back(std::bit_cast<double>(random()));
      const double magnitude = std::exp2(exponent(random));
      doubles.push_back(i % 2 == 0 ? magnitude : -magnitude);
      doubles.push_back(static_cast<double>(random()) * 0x1p-60 - 8);
    }
    check(doubles);
  }
}

template <typename Real>
std::vector<Real> applied(const Activation& activation, const std::vector<Real>& z) {
  std::vector<Real> y(z.size());
  apply_activation(activation, kType<Real>, z.data(), y.data(), static_cast<std::int64_t>(z.size()));
  return y;
}

template <typename Real>
std::vector<Real> gradients(const Activation& activation, const std::vector<Real>& z, const std::vector<Real>& dy) {
  std::vector<Real> dz(z.size());
  activation_gradient(activation, kType<Real>, z.data(), dy.data(), dz.data(), static_cast<std::int64_t>(z.size()));
  return dz;
}

template <typename Real>
std::vector<Real> inverses(const Activation& activation, const std::vector<Real>& y) {
  std::vector<Real> z(y.size());
  internal::kernel_table(current_isa())
      .activation_inverse(activation, kType<Real>, y.data(), z.data(), static_cast<std::int64_t>(y.size()));
  return z;
}

template <typename Real>
std::vector<Real> gradients_of_output(const Activation& activation, const std::vector<Real>& y,
                                      const std::vector<Real>& dy) {
  std::vector<Real> dz(y.size());
  internal::kernel_table(current_isa())
      .activation_gradient_of_output(activation, kType<Real>, y.data(), dy.data(), dz.data(),
                                     static_cast<std::int64_t>(y.size()));
  return dz;
}

template <typename Real>
using WideOf = std::conditional_t<std::is_same_v<Real, double>, long double, double>;

/// The worst error of a test's, which its message names.
template <typename Real>
struct Worst {
  double ulps = 0;
  Real at = 0;

  void take(double found, Real z) {
    if (found <= ulps) return;
    ulps = found;
    at = z;
  }
  void expect_below(double bound) const { EXPECT_LE(ulps, bound) << "at " << at; }
};

template <typename Real>
void expect_accurate_values() {
  for (const Activation& activation : kSmooth) {
    SCOPED_TRACE(name(activation.kind));
    Worst<Real> worst;
    for_each_block([&](const std::vector<Real>& z) {
      const std::vector<Real> y = applied(activation, z);
      for (std::size_t i = 0; i < z.size(); ++i) {
        worst.take(ulps(y[i], value(activation.kind, static_cast<WideOf<Real>>(z[i]))), z[i]);
      }
    });
    worst.expect_below(4);
  }
}

template <typename Real>
void expect_accurate_derivatives() {
  for (const Activation& activation : kSmooth) {
    SCOPED_TRACE(name(activation.kind));
    Worst<Real> worst;
    for_each_block([&](const std::vector<Real>& z) {
      const std::vector<Real> dz = gradients(activation, z, std::vector<Real>(z.size(), 1));
      for (std::size_t i = 0; i < z.size(); ++i) {
        // SiLU's derivative is 0 at -1.278, about which its error is absolute.
        const bool at_root = activation.kind == ActivationKind::silu && std::fabs(z[i] + Real(1.278)) < Real(0.5);
        const double at_least = at_root ? 0.25 : static_cast<double>(std::numeric_limits<Real>::min());
        worst.take(ulps(dz[i], derivative(activation.kind, static_cast<WideOf<Real>>(z[i])), at_least), z[i]);
      }
    });
    worst.expect_below(6);
  }
}

template <typename Real>
void expect_accurate_inverses() {
  for (const Activation& activation : {Activation::sigmoid(), Activation::tanh()}) {
    SCOPED_TRACE(name(activation.kind));
    Worst<Real> worst;
    for_each_block([&](const std::vector<Real>& y) {
      const std::vector<Real> z = inverses(activation, y);
      for (std::size_t i = 0; i < y.size(); ++i) {
        worst.take(ulps(z[i], inverse(activation.kind, static_cast<WideOf<Real>>(y[i]))), y[i]);
      }
    });
    worst.expect_below(6);
  }
}

class ActivationTest : public EveryIsa {};

TEST_P(ActivationTest, SmoothOnesAreAccurateInFloat) { expect_accurate_values<float>(); }
TEST_P(ActivationTest, SmoothOnesAreAccurateInDouble) { expect_accurate_values<double>(); }
TEST_P(ActivationTest, TheirDerivativesAreAccurateInFloat) { expect_accurate_derivatives<float>(); }
TEST_P(ActivationTest, TheirDerivativesAreAccurateInDouble) { expect_accurate_derivatives<double>(); }
TEST_P(ActivationTest, TheirInversesAreAccurateInFloat) { expect_accurate_inverses<float>(); }
TEST_P(ActivationTest, TheirInversesAreAccurateInDouble) { expect_accurate_inverses<double>(); }

// Of numbers whose results are normal, flushing changes nothing.
TEST_P(ActivationTest, FlushingChangesOnlyWhatIsSubnormal) {
  std::vector<float> z;
  for (int i = -80000; i <= 80000; i += 7) z.push_back(static_cast<float>(i) / 1000 + 0.0001F);
  const std::vector<float> ones(z.size(), 1);
  for (const Activation& activation : kAll) {
    SCOPED_TRACE(name(activation.kind));
    const std::vector<float> y = applied(activation, z);
    const std::vector<float> dz = gradients(activation, z, ones);
    const FlushToZero mode;
    EXPECT_EQ(applied(activation, z), y);
    if (activation.kind == ActivationKind::tanh) continue;  // whose derivative is subnormal there
    EXPECT_EQ(gradients(activation, z, ones), dz);
  }
}

template <typename Real>
void expect_rules_of_piecewise_ones() {
  const auto nan = std::numeric_limits<Real>::quiet_NaN();
  const auto infinity = std::numeric_limits<Real>::infinity();
  const auto same = [](const std::vector<Real>& found, const std::vector<Real>& expected) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(found[i])) << i;
      } else {
        EXPECT_EQ(found[i], expected[i]) << i;
        EXPECT_EQ(std::signbit(found[i]), std::signbit(expected[i])) << i;
      }
    }
  };
  const std::vector<Real> z = {-infinity, -8, Real(-0.0), 0, 2, 6, 8, infinity, nan};
  same(applied({}, z), z);
  same(applied(Activation::relu(), z), {0, 0, 0, 0, 2, 6, 8, infinity, nan});
  same(applied(Activation::leaky_relu(0.25F), z), {-infinity, -2, Real(-0.0), 0, 2, 6, 8, infinity, nan});
  same(applied(Activation::clipped_relu(), z), {0, 0, 0, 0, 2, 6, 6, 6, nan});
  for (const Real dy : {Real(4), Real(-4), infinity, nan}) {
    const std::vector<Real> all(z.size(), dy);
    same(gradients({}, z, all), all);
    same(gradients(Activation::relu(), z, all), {0, 0, 0, 0, dy, dy, dy, dy, dy});
    const Real less = dy / 4;
    same(gradients(Activation::leaky_relu(0.25F), z, all), {less, less, less, less, dy, dy, dy, dy, dy});
    same(gradients_of_output(Activation::leaky_relu(0.25F), z, all), {less, less, less, less, dy, dy, dy, dy, dy});
    same(gradients(Activation::clipped_relu(), z, all), {0, 0, 0, 0, dy, 0, 0, 0, dy});
  }
  same(inverses({}, z), z);
  same(inverses(Activation::leaky_relu(0.25F), z), {-infinity, -32, Real(-0.0), 0, 2, 6, 8, infinity, nan});
}

TEST_P(ActivationTest, PiecewiseOnesFollowTheirRulesInFloat) { expect_rules_of_piecewise_ones<float>(); }
TEST_P(ActivationTest, PiecewiseOnesFollowTheirRulesInDouble) { expect_rules_of_piecewise_ones<double>(); }

TEST_P(ActivationTest, NaNIsNaN) {
  for (const Activation& activation : kAll) {
    SCOPED_TRACE(name(activation.kind));
    // Every payload bit, which arithmetic on bits could take for something else.
    std::vector<float> z;
    for (std::uint32_t bit = 0; bit < 23; ++bit) {
      z.push_back(std::bit_cast<float>(0x7fc00000U | 1U << bit));
      z.push_back(std::bit_cast<float>(0xffc00000U | (0x7fffffU >> bit)));
    }
    for (const float y : applied(activation, z)) EXPECT_TRUE(std::isnan(y));
    const std::vector<float> dz = gradients(activation, z, std::vector<float>(z.size(), 3));
    const bool is_smooth = activation.kind >= ActivationKind::sigmoid;
    for (const float gradient : dz) EXPECT_TRUE(is_smooth ? std::isnan(gradient) : gradient == 3);
  }
}

TEST_P(ActivationTest, DerivativesOfOutputsAreTheDerivatives) {
  std::vector<double> z;
  for (int i = -800; i <= 800; ++i) z.push_back(i / 100.0);
  const std::vector<double> dy(z.size(), 3);
  for (const Activation& activation :
       {Activation{}, Activation::leaky_relu(0.25F), Activation::sigmoid(), Activation::tanh()}) {
    SCOPED_TRACE(name(activation.kind));
    const std::vector<double> expected = gradients(activation, z, dy);
    const std::vector<double> found = gradients_of_output(activation, applied(activation, z), dy);
    // 1 - y has y's absolute error.
    for (std::size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-14) << z[i];
  }
}

TEST_P(ActivationTest, EveryLengthAndInPlace) {
  for (std::size_t count = 0; count <= 150; ++count) {
    std::vector<float> z;
    for (std::size_t i = 0; i <= count; ++i) z.push_back(static_cast<float>(i % 13) - 6);
    for (const Activation& activation : kAll) {
      const auto length = static_cast<std::int64_t>(count);
      const std::vector<float> y = applied(activation, z);
      std::vector<float> in_place = z;
      apply_activation(activation, DataType::f32, in_place.data(), in_place.data(), length);
      ASSERT_TRUE(std::equal(y.begin(), y.end() - 1, in_place.begin())) << count;
      ASSERT_EQ(in_place.back(), z.back()) << count;
      const std::vector<float> dz = gradients(activation, z, y);
      std::vector<float> in_dy = y;
      activation_gradient(activation, DataType::f32, z.data(), in_dy.data(), in_dy.data(), length);
      ASSERT_TRUE(std::equal(dz.begin(), dz.end() - 1, in_dy.begin())) << count;
      ASSERT_EQ(in_dy.back(), y.back()) << count;
      std::vector<float> in_z = z;
      activation_gradient(activation, DataType::f32, in_z.data(), y.data(), in_z.data(), length);
      ASSERT_TRUE(std::equal(dz.begin(), dz.end() - 1, in_z.begin())) << count;
    }
  }
}

template <typename Real>
void expect_equal_bits() {
  const auto same = [](const std::vector<Real>& a, const std::vector<Real>& b) {
    return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0;
  };
  const auto under = [](Isa isa, const auto& compute) {
    const ForcedIsa forced(isa);
    return compute();
  };
  for_each_block([&](const std::vector<Real>& z) {
    for (const Activation& activation : kAll) {
      const std::vector<std::function<std::vector<Real>()>> computed = {
          [&] { return applied(activation, z); },
          [&] { return gradients(activation, z, std::vector<Real>(z.size(), Real(1.7))); },
          [&] { return inverses(activation, z); },
      };
      for (const auto& compute : computed) {
        ASSERT_TRUE(same(under(Isa::avx2, compute), under(Isa::avx512, compute))) << name(activation.kind);
      }
    }
  });
}

TEST(ActivationBitsTest, AreEqualWithFusedMultiplyAdd) {
  if (!is_supported(Isa::avx512)) GTEST_SKIP() << "this processor lacks AVX-512";
  expect_equal_bits<float>();
  expect_equal_bits<double>();
}

INSTANTIATE_TEST_SUITE_P(Isa, ActivationTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
