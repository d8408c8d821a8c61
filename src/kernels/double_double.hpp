#pragma once

// Arithmetic on sums of two doubles. T. J. Dekker, "A Floating-Point Technique for Extending the Available Precision",
// 1971; D. E. Knuth, "The Art of Computer Programming", vol. 2, 4.2.2. What f64 needs to be as exact, in units of its
// last place, as f32 is with sums in double. Not used where speed matters most: it takes some 20 operations an element.

#include "kernels/fused_table.hpp"

namespace xbn::kernels {
namespace {

template <class Number>
struct SumAndError {
  Number sum;
  Number error;
};

// a + b exactly. Number is double or a vector of them.
template <class Number>
inline SumAndError<Number> two_sum(const Number& a, const Number& b) {
  const Number sum = a + b;
  const Number b_taken = sum - a;
  const Number a_taken = sum - b_taken;
  return {sum, (a - a_taken) + (b - b_taken)};
}

inline SumAndError<double> two_product(double a, double b) {
  const double product = a * b;
  // 27 and 26 bits of each factor: there is no fused multiply-add on every machine.
  constexpr double kSplitter = 134217729;
  const auto high_of = [](double value) {
    const double scaled = value * kSplitter;
    return scaled - (scaled - value);
  };
  const double a_high = high_of(a);
  const double b_high = high_of(b);
  const double a_low = a - a_high;
  const double b_low = b - b_high;
  return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

inline bool is_number(double value) { return __builtin_fabs(value) <= __DBL_MAX__; }

// Errors of what overflowed or is no number are not numbers; the value itself says so better alone.
inline DoubleDouble normalised(double high, double low) {
  if (!is_number(high)) return {high, 0};
  const double sum = high + low;
  if (!is_number(sum)) return {sum, 0};
  return {sum, low - (sum - high)};
}

inline DoubleDouble operator+(const DoubleDouble& a, const DoubleDouble& b) {
  const SumAndError<double> high = two_sum(a.high, b.high);
  const SumAndError<double> low = two_sum(a.low, b.low);
  const DoubleDouble first = normalised(high.sum, high.error + low.sum);
  return normalised(first.high, first.low + low.error);
}
inline DoubleDouble operator-(const DoubleDouble& a) { return {-a.high, -a.low}; }
inline DoubleDouble operator-(const DoubleDouble& a, const DoubleDouble& b) { return a + -b; }
inline DoubleDouble operator*(const DoubleDouble& a, const DoubleDouble& b) {
  const SumAndError<double> product = two_product(a.high, b.high);
  if (!is_number(product.error)) return {product.sum, 0};
  return normalised(product.sum, product.error + (a.high * b.low + a.low * b.high));
}
inline DoubleDouble operator/(const DoubleDouble& a, const DoubleDouble& b) {
  const double first = a.high / b.high;
  if (!is_number(first) || !is_number(b.high)) return {first, 0};
  const DoubleDouble left = a - b * DoubleDouble{first, 0};
  const double second = left.high / b.high;
  const DoubleDouble rest = left - b * DoubleDouble{second, 0};
  return DoubleDouble{first, 0} + DoubleDouble{second, 0} + DoubleDouble{rest.high / b.high, 0};
}
inline DoubleDouble root_of(const DoubleDouble& a) {
  const double first = __builtin_sqrt(a.high);
  if (!(first > 0) || !is_number(first)) return {first, 0};
  const DoubleDouble left = a - DoubleDouble{first, 0} * DoubleDouble{first, 0};
  return normalised(first, left.high / (2 * first));
}
inline double root_of(double a) { return __builtin_sqrt(a); }

inline double nearest(double value) { return value; }
inline double nearest(const DoubleDouble& value) { return value.high; }

// From one kind of number to what it is summed in.
template <class WideNumber, class Number>
inline WideNumber as_wide(const Number& value) {
  if constexpr (std::is_same_v<WideNumber, Number>) {
    return value;
  } else if constexpr (std::is_same_v<WideNumber, DoubleDouble>) {
    return DoubleDouble{static_cast<double>(value), 0};
  } else {
    return static_cast<WideNumber>(value);
  }
}

}  // namespace
}  // namespace xbn::kernels
