#pragma once

// Comparisons that say where the worst element is and by how much it is off.

#include <gtest/gtest.h>

#include "reference.hpp"

namespace xbn::test {

/// Every actual value lies within `ulps` ulp of its expected one; NaN where NaN is expected, infinities equal.
testing::AssertionResult within_ulp(double ulps, const Values& actual, const Expected& expected);

/// Every actual value is the expected one rounded to float.
testing::AssertionResult rounded_once(const Values& actual, const Doubles& expected);

/// The same bits throughout, any NaN being the same as any other.
testing::AssertionResult same_bits(const Values& actual, const Values& expected);
testing::AssertionResult same_bits(const Doubles& actual, const Doubles& expected);

}  // namespace xbn::test
