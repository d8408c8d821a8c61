#pragma once

// The 16-lane vector of single-precision numbers in which all kernels are written, and all that they need beyond
// xsimd's common subset. One register of AVX-512 or two of AVX2 or four of SSE2: lane i of a sum takes the same
// additions in the same order whichever it is, which is what makes results equal bit by bit.

#include <immintrin.h>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "kernels/kernel_table.hpp"

namespace xbn::kernels {
namespace {

using Sse2 = xsimd::sse2;
using Avx2 = xsimd::fma3<xsimd::avx2>;
using Avx512 = xsimd::avx512bw;

template <class A>
inline xsimd::batch<float, A> fused_multiply_add(xsimd::batch<float, A> a, xsimd::batch<float, A> b,
                                                 xsimd::batch<float, A> c) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return _mm512_fmadd_ps(a, b, c);  // xsimd 8.1 has none for AVX-512 and would round twice
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return _mm256_fmadd_ps(a, b, c);
  } else {
    return a * b + c;
  }
}

template <class A>
inline xsimd::batch<double, A> fused_multiply_subtract(xsimd::batch<double, A> a, xsimd::batch<double, A> b,
                                                       xsimd::batch<double, A> c) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return _mm512_fmsub_pd(a, b, c);
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return _mm256_fmsub_pd(a, b, c);
  } else {
    return a * b - c;
  }
}

template <class A>
inline xsimd::batch<double, A> fused_multiply_add(xsimd::batch<double, A> a, xsimd::batch<double, A> b,
                                                  xsimd::batch<double, A> c) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return _mm512_fmadd_pd(a, b, c);
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return _mm256_fmadd_pd(a, b, c);
  } else {
    return a * b + c;
  }
}

// kCount numbers in registers: one batch, or two halves. Halves and not an array, which compilers leave in memory.
template <class A, class T, Index kCount, bool kOneBatch = (kCount == static_cast<Index>(xsimd::batch<T, A>::size))>
struct Pack;

template <class A, class T, Index kCount>
struct Pack<A, T, kCount, true> {
  using Arch = A;
  using Batch = xsimd::batch<T, A>;
  static constexpr bool kDouble = std::is_same_v<T, double>;

  Batch batch;

  static Pack all(T value) { return {Batch(value)}; }
  static Pack load(const T* from) { return {Batch::load_unaligned(from)}; }
  void store(T* to) const { batch.store_unaligned(to); }

  static Pack load_first(const T* from, Index count) {
    if (count >= kCount) return load(from);
    if (count <= 0) return all(0);
    if constexpr (std::is_same_v<A, Avx512>) {
      if constexpr (kDouble)
        return {_mm512_maskz_loadu_pd(first_lanes_mask(count), from)};
      else
        return {_mm512_maskz_loadu_ps(first_lanes_mask(count), from)};
    } else if constexpr (std::is_same_v<A, Avx2>) {
      if constexpr (kDouble)
        return {_mm256_maskload_pd(from, first_lanes_mask(count))};
      else
        return {_mm256_maskload_ps(from, first_lanes_mask(count))};
    } else {
      alignas(16) T lanes[kCount];
      for (Index i = 0; i < kCount; ++i) lanes[i] = i < count ? from[i] : T{0};
      return {Batch::load_aligned(lanes)};
    }
  }

  void store_first(T* to, Index count) const {
    if (count >= kCount) return store(to);
    if (count <= 0) return;
    if constexpr (std::is_same_v<A, Avx512>) {
      if constexpr (kDouble)
        _mm512_mask_storeu_pd(to, first_lanes_mask(count), batch);
      else
        _mm512_mask_storeu_ps(to, first_lanes_mask(count), batch);
    } else if constexpr (std::is_same_v<A, Avx2>) {
      if constexpr (kDouble)
        _mm256_maskstore_pd(to, first_lanes_mask(count), batch);
      else
        _mm256_maskstore_ps(to, first_lanes_mask(count), batch);
    } else {
      alignas(16) T lanes[kCount];
      batch.store_aligned(lanes);
      for (Index i = 0; i < count; ++i) to[i] = lanes[i];
    }
  }

  // The first `count` lanes of a, the others of b.
  static Pack select_first(Index count, const Pack& a, const Pack& b) {
    if (count >= kCount) return a;
    if (count <= 0) return b;
    if constexpr (std::is_same_v<A, Avx512>) {
      if constexpr (kDouble)
        return {_mm512_mask_blend_pd(first_lanes_mask(count), b.batch, a.batch)};
      else
        return {_mm512_mask_blend_ps(first_lanes_mask(count), b.batch, a.batch)};
    } else if constexpr (std::is_same_v<A, Avx2>) {
      const __m256i first = first_lanes_mask(count);
      if constexpr (kDouble)
        return {_mm256_blendv_pd(b.batch, a.batch, _mm256_castsi256_pd(first))};
      else
        return {_mm256_blendv_ps(b.batch, a.batch, _mm256_castsi256_ps(first))};
    } else {
      alignas(16) T lanes[kCount];
      b.batch.store_aligned(lanes);
      a.store_first(lanes, count);
      return {Batch::load_aligned(lanes)};
    }
  }

  void stream(T* to) const {
    if constexpr (std::is_same_v<A, Avx512>) {
      if constexpr (kDouble)
        _mm512_stream_pd(to, batch);
      else
        _mm512_stream_ps(to, batch);
    } else if constexpr (std::is_same_v<A, Avx2>) {
      if constexpr (kDouble)
        _mm256_stream_pd(to, batch);
      else
        _mm256_stream_ps(to, batch);
    } else {
      if constexpr (kDouble)
        _mm_stream_pd(to, batch);
      else
        _mm_stream_ps(to, batch);
    }
  }

  friend Pack operator+(const Pack& a, const Pack& b) { return {a.batch + b.batch}; }
  friend Pack operator-(const Pack& a, const Pack& b) { return {a.batch - b.batch}; }
  friend Pack operator*(const Pack& a, const Pack& b) { return {a.batch * b.batch}; }
  friend Pack operator/(const Pack& a, const Pack& b) { return {a.batch / b.batch}; }
  friend Pack sqrt(const Pack& a) { return {xsimd::sqrt(a.batch)}; }
  friend Pack fma(const Pack& a, const Pack& b, const Pack& c) {
    return {fused_multiply_add<A>(a.batch, b.batch, c.batch)};
  }
  friend Pack fms(const Pack& a, const Pack& b, const Pack& c) {
    return {fused_multiply_subtract<A>(a.batch, b.batch, c.batch)};
  }

 private:
  static auto first_lanes_mask(Index count) {
    if constexpr (std::is_same_v<A, Avx512>) {
      return static_cast<std::conditional_t<kDouble, __mmask8, __mmask16>>((1U << count) - 1U);
    } else if constexpr (kDouble) {
      return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    } else {
      return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
  }
};

template <class A, class T, Index kCount>
struct Pack<A, T, kCount, false> {
  using Arch = A;
  static constexpr Index kHalf = kCount / 2;
  using Half = Pack<A, T, kHalf>;

  Half low;
  Half high;

  static Pack all(T value) { return {Half::all(value), Half::all(value)}; }
  static Pack load(const T* from) { return {Half::load(from), Half::load(from + kHalf)}; }
  static Pack load_first(const T* from, Index count) {
    return {Half::load_first(from, count), Half::load_first(from + kHalf, count - kHalf)};
  }
  void store(T* to) const {
    low.store(to);
    high.store(to + kHalf);
  }
  void store_first(T* to, Index count) const {
    low.store_first(to, count);
    high.store_first(to + kHalf, count - kHalf);
  }
  static Pack select_first(Index count, const Pack& a, const Pack& b) {
    return {Half::select_first(count, a.low, b.low), Half::select_first(count - kHalf, a.high, b.high)};
  }
  void stream(T* to) const {
    low.stream(to);
    high.stream(to + kHalf);
  }

  friend Pack operator+(const Pack& a, const Pack& b) { return {a.low + b.low, a.high + b.high}; }
  friend Pack operator-(const Pack& a, const Pack& b) { return {a.low - b.low, a.high - b.high}; }
  friend Pack operator*(const Pack& a, const Pack& b) { return {a.low * b.low, a.high * b.high}; }
  friend Pack operator/(const Pack& a, const Pack& b) { return {a.low / b.low, a.high / b.high}; }
  friend Pack sqrt(const Pack& a) { return {sqrt(a.low), sqrt(a.high)}; }
  friend Pack fma(const Pack& a, const Pack& b, const Pack& c) {
    return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)};
  }
  friend Pack fms(const Pack& a, const Pack& b, const Pack& c) {
    return {fms(a.low, b.low, c.low), fms(a.high, b.high, c.high)};
  }
};

// The 16 lanes. load_first takes the first `count` of them from memory, the others are zero and memory behind is not
// read; store_first likewise; stream wants memory aligned to 64 bytes.
template <class A>
using Lanes = Pack<A, float, kLanes>;

template <class A>
using DoubleLanes = Pack<A, double, kLanes>;

template <class A, Index kCount>
inline Pack<A, double, kCount> widen(const Pack<A, float, kCount, true>& narrow) {
  if constexpr (std::is_same_v<A, Avx512>) {
    const __m512 value = narrow.batch;
    return {{_mm512_cvtps_pd(_mm512_castps512_ps256(value))}, {_mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1))}};
  } else if constexpr (std::is_same_v<A, Avx2>) {
    const __m256 value = narrow.batch;
    return {{_mm256_cvtps_pd(_mm256_castps256_ps128(value))}, {_mm256_cvtps_pd(_mm256_extractf128_ps(value, 1))}};
  } else {
    const __m128 value = narrow.batch;
    return {{_mm_cvtps_pd(value)}, {_mm_cvtps_pd(_mm_movehl_ps(value, value))}};
  }
}

template <class A, Index kCount>
inline Pack<A, double, kCount> widen(const Pack<A, float, kCount, false>& narrow) {
  return {widen(narrow.low), widen(narrow.high)};
}

// What half a register of A is a register of: of AVX-512 AVX2.
template <class A>
using HalfOf = std::conditional_t<std::is_same_v<A, Avx512>, Avx2, A>;

// To Wide, 16 lanes in registers of A or in halves of them.
template <class Wide, class A>
inline Wide widen_to(const Lanes<A>& lanes) {
  if constexpr (std::is_same_v<Wide, DoubleLanes<A>>) {
    return widen(lanes);
  } else {
    const __m512 value = lanes.batch;
    return widen(Lanes<HalfOf<A>>{{_mm512_castps512_ps256(value)}, {_mm512_extractf32x8_ps(value, 1)}});
  }
}

// Rounded.
template <class A, Index kCount>
inline Pack<A, float, 2 * kCount> narrow(const Pack<A, double, kCount, true>& low,
                                         const Pack<A, double, kCount, true>& high) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.batch)), _mm512_cvtpd_ps(high.batch), 1)};
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low.batch)), _mm256_cvtpd_ps(high.batch), 1)};
  } else {
    return {_mm_movelh_ps(_mm_cvtpd_ps(low.batch), _mm_cvtpd_ps(high.batch))};
  }
}

template <class A, Index kCount>
inline Pack<A, float, kCount> narrow(const Pack<A, double, kCount, false>& wide) {
  if constexpr (requires { wide.low.batch; }) {
    return narrow(wide.low, wide.high);
  } else {
    return {narrow(wide.low), narrow(wide.high)};
  }
}

// Widened from memory, without a detour through one wide register.
template <class Wide>
inline Wide load_widened(const float* from) {
  if constexpr (requires(Wide wide) { wide.low; }) {
    using Half = typename Wide::Half;
    return {load_widened<Half>(from), load_widened<Half>(from + Wide::kHalf)};
  } else if constexpr (std::is_same_v<typename Wide::Batch, xsimd::batch<double, Avx512>>) {
    return {_mm512_cvtps_pd(_mm256_loadu_ps(from))};
  } else if constexpr (std::is_same_v<typename Wide::Batch, xsimd::batch<double, Avx2>>) {
    return {_mm256_cvtps_pd(_mm_loadu_ps(from))};
  } else {
    return {_mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(from))))};
  }
}

// Sums and differences from the units that multiply, for where those that add and convert have more to do: exactly
// a + b and a - b, rounded once.
template <class A>
class Multiplier {
 public:
  Multiplier() {
    double one = 1;
    asm("" : "+x"(one));  // a compiler that knows the factor leaves it out
    one_ = Register::all(one);
  }
  using Register = Pack<A, double, static_cast<Index>(xsimd::batch<double, A>::size)>;
  Register sum(const Register& a, const Register& b) const { return fma(a, one_, b); }
  Register difference(const Register& a, const Register& b) const { return fms(a, one_, b); }

 private:
  Register one_;
};

// Without fused multiply-adds there are none.
template <>
class Multiplier<Sse2> {
 public:
  using Register = Pack<Sse2, double, 2>;
  Register sum(const Register& a, const Register& b) const { return a + b; }
  Register difference(const Register& a, const Register& b) const { return a - b; }
};

// Into all caches.
inline void prefetch(const void* address) { _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0); }

// Into all but the first. GCC takes a function that does nothing but the intrinsic for one that does nothing.
inline void prefetch_second(const void* address) {
  asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(address)));
}

// Orders streaming stores before what the thread does next.
inline void stream_fence() { _mm_sfence(); }

}  // namespace
}  // namespace xbn::kernels
