#pragma once

// The exponential and the logarithm of which the smooth activations are made: 2^n * e^r with |r| <= log(2) / 2, and
// back. The polynomials are minimax ones, of (e^r - 1 - r) / r^2 and of (atanh(s) - s) / s^3 in s^2.

#include "kernels/pack_bits.hpp"

namespace xbn::kernels {
namespace {

template <class Real>
struct Elementary;

template <>
struct Elementary<float> {
  static constexpr int kFractionBits = 23;
  static constexpr int kBias = 127;
  static constexpr float kRounder = 0x1.8p23F;
  // So many bits are clear at its end that products with n are exact.
  static constexpr float kLog2High = 0.693359375F;
  static constexpr float kLog2Low = -2.12194440054690583e-4F;
  static constexpr float kExponential[] = {0x1.fffffb8dd43a9p-2F, 0x1.55548fd786d00p-3F, 0x1.5558f827f79f5p-5F,
                                           0x1.123b02f62352bp-7F, 0x1.6a2299cdbb21bp-10F};
  static constexpr float kArtanh[] = {0.3333338875269752F, 0.1998869398192724F, 0.14938105463349755F};

  // Below it, even z * e^z is nothing.
  static constexpr float kLeast = -120;
  // Above 2^-kUp times what is subnormal, at any n from there on.
  static constexpr int kUp = 64;
  static constexpr float kDown = 0x1p-64F;
  // Below it, 1 + e^z is 1.
  static constexpr float kNegligible = -20;
};

template <>
struct Elementary<double> {
  static constexpr int kFractionBits = 52;
  static constexpr int kBias = 1023;
  static constexpr double kRounder = 0x1.8p52;
  static constexpr double kLog2High = 6.93147180369123816490e-01;
  static constexpr double kLog2Low = 1.90821492927058770002e-10;
  static constexpr double kExponential[] = {0x1.000000000000ap-1,  0x1.55555555554f8p-3,  0x1.5555555550754p-5,
                                            0x1.1111111128175p-7,  0x1.6c16c1846fcc3p-10, 0x1.a01a0128fc1b2p-13,
                                            0x1.a019994456bfep-16, 0x1.71df27240ee8dp-19, 0x1.28ae3466b075fp-22,
                                            0x1.ad7e81ee573c4p-26};
  static constexpr double kArtanh[] = {0.3333333333333368,  0.19999999999701357, 0.14285714372652006,
                                       0.11111099124805032, 0.09091791163719519, 0.07656780653429036,
                                       0.07400559177487884};
  static constexpr double kLeast = -800;
  static constexpr int kUp = 512;
  static constexpr double kDown = 0x1p-512;
  static constexpr double kNegligible = -44;
};

template <class A, class Real, Index kCount, int kTerms>
inline Pack<A, Real, kCount> polynomial(const Real (&coefficients)[kTerms], const Pack<A, Real, kCount>& x) {
  auto sum = Pack<A, Real, kCount>::all(coefficients[kTerms - 1]);
#pragma GCC unroll 16
  for (int i = kTerms - 2; i >= 0; --i) sum = fma(sum, x, Pack<A, Real, kCount>::all(coefficients[i]));
  return sum;
}

// e^t = scale * (1 + rest), but for a factor of 2^kUp in scale.
template <class A, class Real, Index kCount>
struct Exponential {
  Pack<A, Real, kCount> scale;
  Pack<A, Real, kCount> rest;
};

template <int kUp, class A, class Real, Index kCount>
inline Exponential<A, Real, kCount> exponential(const Pack<A, Real, kCount>& t) {
  using P = Pack<A, Real, kCount>;
  using Constants = Elementary<Real>;
  // The sum's last bits are the exponent of 2^(n + kUp).
  const P rounder = P::all(Constants::kRounder + (Constants::kBias + kUp));
  const P rounded = fma(t, P::all(static_cast<Real>(1.44269504088896340736L)), rounder);
  const P n = rounded - rounder;
  const P r = fma(n, P::all(-Constants::kLog2Low), fma(n, P::all(-Constants::kLog2High), t));
  return {real_of<Real>(shift_left<Constants::kFractionBits>(bits_of(rounded))),
          fma(r * r, polynomial(Constants::kExponential, r), r)};
}

template <class A, class Real, Index kCount>
inline Pack<A, Real, kCount> sign_bits() {
  return Pack<A, Real, kCount>::all(Real(-0.0));
}

template <class A, class Real, Index kCount>
inline Pack<A, Real, kCount> absolute(const Pack<A, Real, kCount>& x) {
  constexpr IntOf<Real> kAllButSign = static_cast<IntOf<Real>>(sizeof(Real) == 8 ? INT64_MAX : INT32_MAX);
  return real_of<Real>(bits_of(x) & IntPack<A, Real, kCount>::all(kAllButSign));
}

template <class A, class Real, Index kCount>
inline Pack<A, Real, kCount> with_sign_of(const Pack<A, Real, kCount>& magnitude, const Pack<A, Real, kCount>& sign) {
  return magnitude | (sign & sign_bits<A, Real, kCount>());
}

// log(q / 2^kUp), where q is normal; 2 artanh(s) where `near`, for |s| to 0.17.
template <int kUp, class A, class Real, Index kCount>
inline Pack<A, Real, kCount> logarithm(const Pack<A, Real, kCount>& q, const Mask<A, Real, kCount>& near,
                                       const Pack<A, Real, kCount>& s) {
  using P = Pack<A, Real, kCount>;
  using Int = IntOf<Real>;
  using Bits = IntPack<A, Real, kCount>;
  using Constants = Elementary<Real>;
  constexpr int kFractionBits = Constants::kFractionBits;
  constexpr Int kOne = Int{Constants::kBias} << kFractionBits;
  constexpr Int kRootOfHalf = sizeof(Real) == 8 ? Int(0x3fe6a09e667f3bcdLL) : Int(0x3f3504f3);
  // q = 2^k * m, with m about 1; k + kBias is positive.
  const Bits exponent = shift_right<kFractionBits>(bits_of(q) + Bits::all(kOne - kRootOfHalf));
  const P m = real_of<Real>(bits_of(q) - shift_left<kFractionBits>(exponent) + Bits::all(kOne));
  constexpr Real kShifter = sizeof(Real) == 8 ? Real(0x1p52) : Real(0x1p23);
  const P k = real_of<Real>(exponent | bits_of(P::all(kShifter))) - P::all(kShifter + (Constants::kBias + kUp));
  const P one = P::all(1);
  const P t = select(near, s, (m - one) / (m + one));
  const P twice = t + t;
  const P of_m = fma(twice, t * t * polynomial(Constants::kArtanh, t * t), twice);
  const P of_q = fma(k, P::all(Constants::kLog2High), fma(k, P::all(Constants::kLog2Low), of_m));
  return select(near, of_m, of_q);
}

}  // namespace
}  // namespace xbn::kernels
