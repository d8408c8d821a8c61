#pragma once

// Sigmoid, tanh and SiLU, their derivatives and inverses. All exponentials are of t = -|z|, so that they are at most 1.

#include "kernels/exponential.hpp"

namespace xbn::kernels {
namespace {

// Not below kLeast, which is as good as minus infinity. NaN stays.
template <class A, class Real>
inline Pack<A, Real, kLanes> minus_absolute(const Pack<A, Real, kLanes>& z, Real least) {
  return greater(Pack<A, Real, kLanes>::all(least), z | sign_bits<A, Real, kLanes>());
}

// What e^t comes to, and 1 + e^t. Where e^t is subnormal it has been rounded; `scaled`, 2^kUp as large, not.
template <class A, class Real>
struct Logistic {
  using P = Pack<A, Real, kLanes>;
  P t;
  P scaled;
  P denominator;

  explicit Logistic(const P& z) : t(minus_absolute(z, Elementary<Real>::kLeast)) {
    const auto e = exponential<Elementary<Real>::kUp>(t);
    scaled = fma(e.scale, e.rest, e.scale);
    denominator = fma(scaled, down(), P::all(1));
  }

  P rounded() const { return scaled * down(); }
  static P down() { return P::all(Elementary<Real>::kDown); }
};

struct Sigmoid {
  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P value(const Pack<A, Real, kLanes>& z) {
    const P one = P::all(1);
    const P e = Logistic<A, Real>(z).rounded();
    return select(less(z, P::all(0)), e, one) / (e + one);
  }

  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P derivative(const Pack<A, Real, kLanes>& z) {
    const Logistic<A, Real> e(z);
    return e.scaled / (e.denominator * e.denominator) * e.down();
  }

  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P derivative_of_output(const Pack<A, Real, kLanes>& y) {
    return y * (P::all(1) - y);
  }

  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P inverse(const Pack<A, Real, kLanes>& y) {
    constexpr int kUp = Elementary<Real>::kUp;
    const P zero = P::all(0);
    const P one = P::all(1);
    const P from_middle = y + y - one;
    const P q = y * P::all(1 / Elementary<Real>::kDown) / (one - y);
    const P inner = logarithm<kUp>(q, less(absolute(from_middle), P::all(Real(0.17))), from_middle);
    const P infinity = P::all(Real(__builtin_inf()));
    const P ends = with_sign_of(infinity, from_middle);
    const P known = select(less(zero, y) & less(y, one), inner, ends);
    return select(less(y, zero) | not_less_equal(y, one), P::all(Real(__builtin_nan(""))), known);
  }
};

struct Tanh {
  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P value(const Pack<A, Real, kLanes>& z) {
    const auto e = exponential<0>(minus_absolute(z + z, Elementary<Real>::kNegligible));
    const P less_one = fma(e.scale, e.rest, e.scale - P::all(1));  // e^-2|z| - 1
    return with_sign_of(absolute(less_one / (less_one + P::all(2))), z);
  }

  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P derivative(const Pack<A, Real, kLanes>& z) {
    const Logistic<A, Real> e(z + z);
    return e.scaled / (e.denominator * e.denominator) * P::all(4 * Elementary<Real>::kDown);
  }

  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P derivative_of_output(const Pack<A, Real, kLanes>& y) {
    return (P::all(1) - y) * (P::all(1) + y);
  }

  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P inverse(const Pack<A, Real, kLanes>& y) {
    const P one = P::all(1);
    const P a = absolute(y);
    const P inner = logarithm<0>((one + a) / (one - a), less(a, P::all(Real(0.17))), a) * P::all(Real(0.5));
    const P known = select(less(a, one), inner, P::all(Real(__builtin_inf())));
    return with_sign_of(select(not_less_equal(a, one), P::all(Real(__builtin_nan(""))), known), y);
  }
};

struct Silu {
  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P value(const Pack<A, Real, kLanes>& z) {
    const Logistic<A, Real> e(z);
    return select(less(z, P::all(0)), e.t * e.scaled * e.down(), z) / e.denominator;
  }

  // Of z < 0: e * (1 + e + z) / (1 + e)^2, of others (1 + e + e * z) / (1 + e)^2.
  template <class A, class Real, class P = Pack<A, Real, kLanes>>
  static P derivative(const Pack<A, Real, kLanes>& z) {
    const Logistic<A, Real> e(z);
    const P below = e.scaled * (e.denominator + e.t) * e.down();
    const P above = e.denominator - e.t * (e.scaled * e.down());
    return select(less(z, P::all(0)), below, above) / (e.denominator * e.denominator);
  }
};

// Out of line: a caller has one instance of each, however many switches it has. They are given copies (see
// through_copies below): an array that a call is given lies in memory, wherever else it is used.
template <class Function, class A, class Real, int kCount>
[[gnu::noinline]] void replace_by_value(Pack<A, Real, kLanes>* z) {
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) z[i] = Function::value(z[i]);
}

template <class Function, class A, class Real, int kCount>
[[gnu::noinline]] void times_derivative_at(const Pack<A, Real, kLanes>* z, Pack<A, Real, kLanes>* gradient) {
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) gradient[i] = gradient[i] * Function::derivative(z[i]);
}

template <class Function, class A, class Real, int kCount>
[[gnu::noinline]] void replace_by_inverse(Pack<A, Real, kLanes>* y) {
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) y[i] = Function::inverse(y[i]);
}

// Calls f(copies of the arrays...), and takes the last of them back.
template <int kCount, class P, class F>
inline void through_copies(const F& f, P* values) {
  P copy[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) copy[i] = values[i];
  f(copy);
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) values[i] = copy[i];
}

template <int kCount, class P, class F>
inline void through_copies(const F& f, const P* others, P* values) {
  P copy[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) copy[i] = others[i];
  through_copies<kCount>([&](P* of_values) { f(copy, of_values); }, values);
}

}  // namespace
}  // namespace xbn::kernels
