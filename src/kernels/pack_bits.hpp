#pragma once

// Bits, comparisons and selections of packs, of which xsimd's are not the same on every instruction set, or not there.

#include "kernels/simd_extras.hpp"

namespace xbn::kernels {
namespace {

template <class Real>
using IntOf = std::conditional_t<std::is_same_v<Real, double>, std::int64_t, std::int32_t>;

template <class A, class Real, Index kCount>
using IntPack = Pack<A, IntOf<Real>, kCount>;

// One truth value a number, in halves as a Pack of the same.
template <class A, class Real, Index kCount,
          bool kOneBatch = (kCount == static_cast<Index>(xsimd::batch<Real, A>::size))>
struct Mask;

template <class A, class Real, Index kCount>
struct Mask<A, Real, kCount, true> {
  xsimd::batch_bool<Real, A> batch;
};

template <class A, class Real, Index kCount>
struct Mask<A, Real, kCount, false> {
  using Half = Mask<A, Real, kCount / 2>;

  Half low;
  Half high;
};

// f of each register.
template <class Result, class F, class... Packs>
inline Result map(const F& f, const Packs&... packs) {
  if constexpr (requires { typename Result::Half; }) {
    using Half = typename Result::Half;
    return {map<Half>(f, packs.low...), map<Half>(f, packs.high...)};
  } else {
    return {f(packs.batch...)};
  }
}

template <class A, class Real>
using Register = xsimd::batch<Real, A>;

template <class A, class Real, Index kCount>
inline IntPack<A, Real, kCount> bits_of(const Pack<A, Real, kCount>& value) {
  using Bits = Register<A, IntOf<Real>>;
  return map<IntPack<A, Real, kCount>>([](Register<A, Real> x) { return xsimd::bitwise_cast<Bits>(x); }, value);
}

template <class Real, class A, class Int, Index kCount>
inline Pack<A, Real, kCount> real_of(const Pack<A, Int, kCount>& bits) {
  static_assert(sizeof(Int) == sizeof(Real));
  using To = Register<A, Real>;
  return map<Pack<A, Real, kCount>>([](Register<A, Int> x) { return xsimd::bitwise_cast<To>(x); }, bits);
}

template <class A, class T, Index kCount>
inline Pack<A, T, kCount> operator&(const Pack<A, T, kCount>& a, const Pack<A, T, kCount>& b) {
  return map<Pack<A, T, kCount>>([](Register<A, T> x, Register<A, T> y) { return x & y; }, a, b);
}

template <class A, class T, Index kCount>
inline Pack<A, T, kCount> operator|(const Pack<A, T, kCount>& a, const Pack<A, T, kCount>& b) {
  return map<Pack<A, T, kCount>>([](Register<A, T> x, Register<A, T> y) { return x | y; }, a, b);
}

template <int kBits, class A, class Int, Index kCount>
inline Pack<A, Int, kCount> shift_left(const Pack<A, Int, kCount>& value) {
  return map<Pack<A, Int, kCount>>(
      [](Register<A, Int> x) -> Register<A, Int> {
        constexpr bool kWide = sizeof(Int) == 8;
        if constexpr (std::is_same_v<A, Avx512>) {
          if constexpr (kWide)
            return _mm512_slli_epi64(x, kBits);
          else
            return _mm512_slli_epi32(x, kBits);
        } else if constexpr (std::is_same_v<A, Avx2>) {
          if constexpr (kWide)
            return _mm256_slli_epi64(x, kBits);
          else
            return _mm256_slli_epi32(x, kBits);
        } else {
          if constexpr (kWide)
            return _mm_slli_epi64(x, kBits);
          else
            return _mm_slli_epi32(x, kBits);
        }
      },
      value);
}

// Zeros come in from the left.
template <int kBits, class A, class Int, Index kCount>
inline Pack<A, Int, kCount> shift_right(const Pack<A, Int, kCount>& value) {
  return map<Pack<A, Int, kCount>>(
      [](Register<A, Int> x) -> Register<A, Int> {
        constexpr bool kWide = sizeof(Int) == 8;
        if constexpr (std::is_same_v<A, Avx512>) {
          if constexpr (kWide)
            return _mm512_srli_epi64(x, kBits);
          else
            return _mm512_srli_epi32(x, kBits);
        } else if constexpr (std::is_same_v<A, Avx2>) {
          if constexpr (kWide)
            return _mm256_srli_epi64(x, kBits);
          else
            return _mm256_srli_epi32(x, kBits);
        } else {
          if constexpr (kWide)
            return _mm_srli_epi64(x, kBits);
          else
            return _mm_srli_epi32(x, kBits);
        }
      },
      value);
}

// Of NaN, the first is false, the next true and the last true of nothing else.
enum class Comparison { less, not_less_equal, unordered };

template <Comparison kComparison, class A, class Real, Index kCount>
inline Mask<A, Real, kCount> compare(const Pack<A, Real, kCount>& a, const Pack<A, Real, kCount>& b) {
  constexpr bool kDouble = std::is_same_v<Real, double>;
  constexpr int kPredicate = kComparison == Comparison::less             ? _CMP_LT_OQ
                             : kComparison == Comparison::not_less_equal ? _CMP_NLE_UQ
                                                                         : _CMP_UNORD_Q;
  return map<Mask<A, Real, kCount>>(
      [](Register<A, Real> x, Register<A, Real> y) -> xsimd::batch_bool<Real, A> {
        if constexpr (std::is_same_v<A, Avx512>) {
          if constexpr (kDouble)
            return _mm512_cmp_pd_mask(x, y, kPredicate);
          else
            return _mm512_cmp_ps_mask(x, y, kPredicate);
        } else if constexpr (std::is_same_v<A, Avx2>) {
          if constexpr (kDouble)
            return _mm256_cmp_pd(x, y, kPredicate);
          else
            return _mm256_cmp_ps(x, y, kPredicate);
        } else if constexpr (kComparison == Comparison::less) {
          if constexpr (kDouble)
            return _mm_cmplt_pd(x, y);
          else
            return _mm_cmplt_ps(x, y);
        } else if constexpr (kComparison == Comparison::not_less_equal) {
          if constexpr (kDouble)
            return _mm_cmpnle_pd(x, y);
          else
            return _mm_cmpnle_ps(x, y);
        } else {
          if constexpr (kDouble)
            return _mm_cmpunord_pd(x, y);
          else
            return _mm_cmpunord_ps(x, y);
        }
      },
      a, b);
}

template <class A, class Real, Index kCount>
inline Mask<A, Real, kCount> less(const Pack<A, Real, kCount>& a, const Pack<A, Real, kCount>& b) {
  return compare<Comparison::less>(a, b);
}

template <class A, class Real, Index kCount>
inline Mask<A, Real, kCount> not_less_equal(const Pack<A, Real, kCount>& a, const Pack<A, Real, kCount>& b) {
  return compare<Comparison::not_less_equal>(a, b);
}

template <class A, class Real, Index kCount>
inline Mask<A, Real, kCount> is_nan(const Pack<A, Real, kCount>& a) {
  return compare<Comparison::unordered>(a, a);
}

// a where the mask is true, b elsewhere; also of integers as wide.
template <class A, class Real, class T, Index kCount>
inline Pack<A, T, kCount> select(const Mask<A, Real, kCount>& mask, const Pack<A, T, kCount>& a,
                                 const Pack<A, T, kCount>& b) {
  static_assert(sizeof(Real) == sizeof(T));
  return map<Pack<A, T, kCount>>(
      [](xsimd::batch_bool<Real, A> where, Register<A, T> x, Register<A, T> y) -> Register<A, T> {
        if constexpr (std::is_same_v<Real, T>) {
          return xsimd::select(where, x, y);
        } else if constexpr (std::is_same_v<A, Avx512>) {
          return xsimd::select(xsimd::batch_bool<T, A>(where.data), x, y);
        } else {
          const auto real = [](Register<A, T> value) { return xsimd::bitwise_cast<Register<A, Real>>(value); };
          return xsimd::bitwise_cast<Register<A, T>>(xsimd::select(where, real(x), real(y)));
        }
      },
      mask, a, b);
}

// a where the mask is true, +0 elsewhere.
template <class A, class Real, Index kCount>
inline Pack<A, Real, kCount> keep(const Mask<A, Real, kCount>& mask, const Pack<A, Real, kCount>& a) {
  return map<Pack<A, Real, kCount>>(
      [](xsimd::batch_bool<Real, A> where, Register<A, Real> x) -> Register<A, Real> {
        if constexpr (std::is_same_v<A, Avx512>) {
          return xsimd::select(where, x, Register<A, Real>(0));
        } else {
          return Register<A, Real>(where.data) & x;
        }
      },
      mask, a);
}

template <class A, class Real, Index kCount>
inline Mask<A, Real, kCount> operator&(const Mask<A, Real, kCount>& a, const Mask<A, Real, kCount>& b) {
  using Bools = xsimd::batch_bool<Real, A>;
  return map<Mask<A, Real, kCount>>([](Bools x, Bools y) { return x & y; }, a, b);
}

template <class A, class Real, Index kCount>
inline Mask<A, Real, kCount> operator|(const Mask<A, Real, kCount>& a, const Mask<A, Real, kCount>& b) {
  using Bools = xsimd::batch_bool<Real, A>;
  return map<Mask<A, Real, kCount>>([](Bools x, Bools y) { return x | y; }, a, b);
}

// Bit i is lane i's.
template <class A, class Real, Index kCount>
inline unsigned to_unsigned(const Mask<A, Real, kCount>& mask) {
  if constexpr (requires { mask.low; }) {
    return to_unsigned(mask.low) | to_unsigned(mask.high) << static_cast<unsigned>(kCount / 2);
  } else if constexpr (std::is_same_v<A, Avx512>) {
    return mask.batch.data;
  } else {
    constexpr bool kDouble = std::is_same_v<Real, double>;
    int bits = 0;
    if constexpr (std::is_same_v<A, Avx2>) {
      if constexpr (kDouble)
        bits = _mm256_movemask_pd(mask.batch);
      else
        bits = _mm256_movemask_ps(mask.batch);
    } else {
      if constexpr (kDouble)
        bits = _mm_movemask_pd(mask.batch);
      else
        bits = _mm_movemask_ps(mask.batch);
    }
    return static_cast<unsigned>(bits);
  }
}

// The inverse; bits from kCount on mean nothing.
template <class To>
struct MaskFrom;

template <class A, class Real, Index kCount>
struct MaskFrom<Mask<A, Real, kCount, false>> {
  using Half = Mask<A, Real, kCount / 2>;
  static Mask<A, Real, kCount> bits(unsigned bits) {
    return {MaskFrom<Half>::bits(bits), MaskFrom<Half>::bits(bits >> static_cast<unsigned>(kCount / 2))};
  }
};

template <class A, class Real, Index kCount>
struct MaskFrom<Mask<A, Real, kCount, true>> {
  // Never in braces: a batch of truth values takes a list of them.
  using Bools = xsimd::batch_bool<Real, A>;

  static Mask<A, Real, kCount> bits(unsigned bits) {
    const auto word = static_cast<int>(bits);
    if constexpr (std::is_same_v<A, Avx512>) {
      return {Bools(static_cast<std::conditional_t<kCount == 8, __mmask8, __mmask16>>(bits))};
    } else if constexpr (std::is_same_v<A, Avx2>) {
      const __m256i lane =
          kCount == 8 ? _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128) : _mm256_setr_epi32(1, 1, 2, 2, 4, 4, 8, 8);
      const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(word), lane), lane);
      if constexpr (kCount == 8)
        return {Bools(_mm256_castsi256_ps(set))};
      else
        return {Bools(_mm256_castsi256_pd(set))};
    } else {
      const __m128i lane = kCount == 4 ? _mm_setr_epi32(1, 2, 4, 8) : _mm_setr_epi32(1, 1, 2, 2);
      const __m128i set = _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(word), lane), lane);
      if constexpr (kCount == 4)
        return {Bools(_mm_castsi128_ps(set))};
      else
        return {Bools(_mm_castsi128_pd(set))};
    }
  }
};

// b where either is NaN.
template <class A, class Real, Index kCount>
inline Pack<A, Real, kCount> lesser(const Pack<A, Real, kCount>& a, const Pack<A, Real, kCount>& b) {
  return map<Pack<A, Real, kCount>>(
      [](Register<A, Real> x, Register<A, Real> y) -> Register<A, Real> {
        constexpr bool kDouble = std::is_same_v<Real, double>;
        if constexpr (std::is_same_v<A, Avx512>) {
          if constexpr (kDouble)
            return _mm512_min_pd(x, y);
          else
            return _mm512_min_ps(x, y);
        } else if constexpr (std::is_same_v<A, Avx2>) {
          if constexpr (kDouble)
            return _mm256_min_pd(x, y);
          else
            return _mm256_min_ps(x, y);
        } else {
          if constexpr (kDouble)
            return _mm_min_pd(x, y);
          else
            return _mm_min_ps(x, y);
        }
      },
      a, b);
}

// b where either is NaN, or both are zeros.
template <class A, class Real, Index kCount>
inline Pack<A, Real, kCount> greater(const Pack<A, Real, kCount>& a, const Pack<A, Real, kCount>& b) {
  return map<Pack<A, Real, kCount>>(
      [](Register<A, Real> x, Register<A, Real> y) -> Register<A, Real> {
        constexpr bool kDouble = std::is_same_v<Real, double>;
        if constexpr (std::is_same_v<A, Avx512>) {
          if constexpr (kDouble)
            return _mm512_max_pd(x, y);
          else
            return _mm512_max_ps(x, y);
        } else if constexpr (std::is_same_v<A, Avx2>) {
          if constexpr (kDouble)
            return _mm256_max_pd(x, y);
          else
            return _mm256_max_ps(x, y);
        } else {
          if constexpr (kDouble)
            return _mm_max_pd(x, y);
          else
            return _mm_max_ps(x, y);
        }
      },
      a, b);
}

}  // namespace
}  // namespace xbn::kernels
