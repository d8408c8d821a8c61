#pragma once

// Activations of `kCount` times 16 lanes, in place. What they are and what they do to NaN: xbn/activation.hpp. A
// gradient that ReLU or clipped ReLU drops becomes +0, whatever it was.

#include "kernels/smooth.hpp"
#include "xbn/activation.hpp"

namespace xbn::kernels {
namespace {

// Where z is positive or NaN.
template <class A, class Real>
inline Mask<A, Real, kLanes> passing(const Pack<A, Real, kLanes>& z) {
  return not_less_equal(z, Pack<A, Real, kLanes>::all(0));
}

// Where it is negative or NaN. A product with either is the same however the compiler selects it; with a signalling NaN
// among those that pass, clang's would be quiet on one instruction set and not on another.
template <class A, class Real>
inline Mask<A, Real, kLanes> falling(const Pack<A, Real, kLanes>& z) {
  return not_less_equal(Pack<A, Real, kLanes>::all(0), z);
}

// Where it passes, as 16 bits: bit i is lane i's.
template <class A, class Real>
inline unsigned passes(const Pack<A, Real, kLanes>& z) {
  return to_unsigned(passing(z));
}

// kLight: of a few instructions; the others then do not occur.
template <class A, class Real, int kCount, bool kLight = false>
inline void activate(const Activation& activation, Pack<A, Real, kLanes>* z) {
  using P = Pack<A, Real, kLanes>;
  const auto each = [&](const auto& f) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) z[i] = f(z[i]);
  };
  switch (activation.kind) {
    case ActivationKind::none:
      return;
    case ActivationKind::relu:
      return each([](const P& x) { return keep(passing(x), x); });
    case ActivationKind::leaky_relu: {
      const P slope = P::all(activation.slope);
      return each([&](const P& x) { return select(falling(x), x * slope, x); });
    }
    case ActivationKind::clipped_relu: {
      const P bound = P::all(activation.bound);
      return each([&](const P& x) { return lesser(bound, keep(passing(x), x)); });
    }
    case ActivationKind::sigmoid:
      if constexpr (!kLight) through_copies<kCount>(replace_by_value<Sigmoid, A, Real, kCount>, z);
      return;
    case ActivationKind::tanh:
      if constexpr (!kLight) through_copies<kCount>(replace_by_value<Tanh, A, Real, kCount>, z);
      return;
    case ActivationKind::silu:
      if constexpr (!kLight) through_copies<kCount>(replace_by_value<Silu, A, Real, kCount>, z);
      return;
  }
}

// gradient *= f'(z)
template <class A, class Real, int kCount>
inline void times_derivative(const Activation& activation, const Pack<A, Real, kLanes>* z,
                             Pack<A, Real, kLanes>* gradient) {
  using P = Pack<A, Real, kLanes>;
  const auto each = [&](const auto& f) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) gradient[i] = f(z[i], gradient[i]);
  };
  switch (activation.kind) {
    case ActivationKind::none:
      return;
    case ActivationKind::relu:
      return each([](const P& x, const P& dy) { return keep(passing(x), dy); });
    case ActivationKind::leaky_relu: {
      const P slope = P::all(activation.slope);
      return each([&](const P& x, const P& dy) { return select(passing(x), dy, dy * slope); });
    }
    case ActivationKind::clipped_relu: {
      const P bound = P::all(activation.bound);
      return each([&](const P& x, const P& dy) { return keep(passing(x) & not_less_equal(bound, x), dy); });
    }
    case ActivationKind::sigmoid:
      return through_copies<kCount>(times_derivative_at<Sigmoid, A, Real, kCount>, z, gradient);
    case ActivationKind::tanh:
      return through_copies<kCount>(times_derivative_at<Tanh, A, Real, kCount>, z, gradient);
    case ActivationKind::silu:
      return through_copies<kCount>(times_derivative_at<Silu, A, Real, kCount>, z, gradient);
  }
}

// z of which y came, of an invertible activation. Infinite where y is as far as f goes, NaN beyond.
template <class A, class Real, int kCount>
inline void invert(const Activation& activation, Pack<A, Real, kLanes>* y) {
  using P = Pack<A, Real, kLanes>;
  if (activation.kind == ActivationKind::leaky_relu) {
    const P slope = P::all(activation.slope);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) y[i] = select(falling(y[i]), y[i] / slope, y[i]);
  } else if (activation.kind == ActivationKind::sigmoid) {
    through_copies<kCount>(replace_by_inverse<Sigmoid, A, Real, kCount>, y);
  } else if (activation.kind == ActivationKind::tanh) {
    through_copies<kCount>(replace_by_inverse<Tanh, A, Real, kCount>, y);
  }
}

// gradient *= f'(z) by way of y, of an invertible activation.
template <class A, class Real, int kCount>
inline void times_derivative_of_output(const Activation& activation, const Pack<A, Real, kLanes>* y,
                                       Pack<A, Real, kLanes>* gradient) {
  using P = Pack<A, Real, kLanes>;
  const auto each = [&](const auto& f) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) gradient[i] = f(y[i], gradient[i]);
  };
  if (activation.kind == ActivationKind::leaky_relu) {
    const P slope = P::all(activation.slope);
    each([&](const P& x, const P& dy) { return select(passing(x), dy, dy * slope); });
  } else if (activation.kind == ActivationKind::sigmoid) {
    each([](const P& x, const P& dy) { return dy * Sigmoid::derivative_of_output(x); });
  } else if (activation.kind == ActivationKind::tanh) {
    each([](const P& x, const P& dy) { return dy * Tanh::derivative_of_output(x); });
  }
}

}  // namespace
}  // namespace xbn::kernels
