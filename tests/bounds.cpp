#include "bounds.hpp"

#include <cmath>
#include <cstring>
#include <limits>

namespace xbn::test {
namespace {

constexpr double kUlp = 0x1p-23;
/// Below the normal numbers float's spacing is no longer relative.
constexpr double kSmallestFloat = std::numeric_limits<float>::denorm_min();

/// Distance in ulp of `scale`, 0 where the two are one and the same.
double ulps_between(float actual, double expected, double scale) {
  if (std::isnan(expected) || std::isnan(actual)) {
    return std::isnan(expected) && std::isnan(actual) ? 0 : std::numeric_limits<double>::infinity();
  }
  if (actual == static_cast<float>(expected)) return 0;
  const double excess = std::fabs(actual - expected) - kSmallestFloat;
  return excess <= 0 ? 0 : excess / (kUlp * scale);
}

testing::AssertionResult sizes_differ(std::size_t actual, std::size_t expected) {
  return testing::AssertionFailure() << actual << " values, expected " << expected;
}

template <typename Float>
testing::AssertionResult compare_bits(const std::vector<Float>& actual, const std::vector<Float>& expected) {
  if (actual.size() != expected.size()) return sizes_differ(actual.size(), expected.size());
  std::size_t first = 0, wrong = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (std::memcmp(&actual[i], &expected[i], sizeof(Float)) == 0) continue;
    if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << wrong << " of " << actual.size() << " values differ, the first at " << first
                                     << ": " << std::hexfloat << actual[first] << ", expected " << expected[first];
}

}  // namespace

testing::AssertionResult within_ulp(double ulps, const Values& actual, const Expected& expected) {
  if (actual.size() != expected.value.size()) return sizes_differ(actual.size(), expected.value.size());
  std::size_t worst = 0, wrong = 0;
  double worst_ulps = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double distance = ulps_between(actual[i], expected.value[i], expected.scale[i]);
    if (distance <= ulps) continue;
    ++wrong;
    if (distance > worst_ulps) {
      worst_ulps = distance;
      worst = i;
    }
  }
  if (wrong == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << wrong << " of " << actual.size() << " values beyond " << ulps
                                     << " ulp; worst at " << worst << ": " << actual[worst] << ", expected "
                                     << expected.value[worst] << ", off by " << worst_ulps << " ulp of "
                                     << expected.scale[worst];
}

testing::AssertionResult rounded_once(const Values& actual, const Doubles& expected) {
  if (actual.size() != expected.size()) return sizes_differ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != static_cast<float>(expected[i])) {
      return testing::AssertionFailure() << "first at " << i << ": " << actual[i] << ", expected exactly "
                                         << expected[i] << ", off by " << actual[i] - expected[i];
    }
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult same_bits(const Values& actual, const Values& expected) {
  return compare_bits(actual, expected);
}

testing::AssertionResult same_bits(const Doubles& actual, const Doubles& expected) {
  return compare_bits(actual, expected);
}

}  // namespace xbn::test
