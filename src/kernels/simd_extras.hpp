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
using Batch = xsimd::batch<float, A>;

template <class A>
using DoubleBatch = xsimd::batch<double, A>;

template <class A>
inline Batch<A> fused_multiply_add(Batch<A> a, Batch<A> b, Batch<A> c) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return _mm512_fmadd_ps(a, b, c);  // xsimd 8.1 has none for AVX-512 and would round twice
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return _mm256_fmadd_ps(a, b, c);
  } else {
    return a * b + c;
  }
}

template <class A>
inline DoubleBatch<A> fused_multiply_add(DoubleBatch<A> a, DoubleBatch<A> b, DoubleBatch<A> c) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return _mm512_fmadd_pd(a, b, c);
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return _mm256_fmadd_pd(a, b, c);
  } else {
    return a * b + c;
  }
}

template <class A>
struct Lanes {
  static constexpr Index kPartLanes = static_cast<Index>(Batch<A>::size);
  static constexpr Index kParts = kLanes / kPartLanes;

  Batch<A> part[kParts];

  static Lanes zero() { return all(0.0F); }

  static Lanes all(float value) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = Batch<A>(value);
    return result;
  }

  static Lanes load(const float* from) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = Batch<A>::load_unaligned(from + i * kPartLanes);
    return result;
  }

  // The first `count` lanes from memory, the others zero; memory behind them is not read.
  static Lanes load_first(const float* from, Index count) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) {
      const Index wanted = count - i * kPartLanes;
      if (wanted >= kPartLanes) {
        result.part[i] = Batch<A>::load_unaligned(from + i * kPartLanes);
      } else if (wanted <= 0) {
        result.part[i] = Batch<A>(0.0F);
      } else {
        result.part[i] = load_part(from + i * kPartLanes, wanted);
      }
    }
    return result;
  }

  void store(float* to) const {
    for (Index i = 0; i < kParts; ++i) part[i].store_unaligned(to + i * kPartLanes);
  }

  void store_first(float* to, Index count) const {
    for (Index i = 0; i < kParts; ++i) {
      const Index wanted = count - i * kPartLanes;
      if (wanted >= kPartLanes) {
        part[i].store_unaligned(to + i * kPartLanes);
      } else if (wanted > 0) {
        store_part(part[i], to + i * kPartLanes, wanted);
      }
    }
  }

  // `to` must be aligned to 64 bytes.
  void stream(float* to) const {
    for (Index i = 0; i < kParts; ++i) {
      if constexpr (std::is_same_v<A, Avx512>) {
        _mm512_stream_ps(to, part[i]);
      } else if constexpr (std::is_same_v<A, Avx2>) {
        _mm256_stream_ps(to + i * kPartLanes, part[i]);
      } else {
        _mm_stream_ps(to + i * kPartLanes, part[i]);
      }
    }
  }

  friend Lanes operator+(const Lanes& a, const Lanes& b) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = a.part[i] + b.part[i];
    return result;
  }

  friend Lanes operator-(const Lanes& a, const Lanes& b) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = a.part[i] - b.part[i];
    return result;
  }

  friend Lanes operator*(const Lanes& a, const Lanes& b) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = a.part[i] * b.part[i];
    return result;
  }

  // a * b + c, rounded once wherever the instruction set can.
  friend Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
    Lanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = fused_multiply_add<A>(a.part[i], b.part[i], c.part[i]);
    return result;
  }

 private:
  static __m256i avx2_mask(Index count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  // 0 < count < kPartLanes
  static Batch<A> load_part(const float* from, Index count) {
    if constexpr (std::is_same_v<A, Avx512>) {
      return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << count) - 1U), from);
    } else if constexpr (std::is_same_v<A, Avx2>) {
      return _mm256_maskload_ps(from, avx2_mask(count));
    } else {
      alignas(16) float lanes[4] = {};
      for (Index i = 0; i < count; ++i) lanes[i] = from[i];
      return Batch<A>::load_aligned(lanes);
    }
  }

  static void store_part(Batch<A> value, float* to, Index count) {
    if constexpr (std::is_same_v<A, Avx512>) {
      _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1U), value);
    } else if constexpr (std::is_same_v<A, Avx2>) {
      _mm256_maskstore_ps(to, avx2_mask(count), value);
    } else {
      alignas(16) float lanes[4];
      value.store_aligned(lanes);
      for (Index i = 0; i < count; ++i) to[i] = lanes[i];
    }
  }
};

// 16 lanes in double.
template <class A>
struct DoubleLanes {
  static constexpr Index kPartLanes = static_cast<Index>(DoubleBatch<A>::size);
  static constexpr Index kParts = kLanes / kPartLanes;

  DoubleBatch<A> part[kParts];

  static DoubleLanes zero() {
    DoubleLanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = DoubleBatch<A>(0.0);
    return result;
  }

  static DoubleLanes load(const double* from) {
    DoubleLanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = DoubleBatch<A>::load_unaligned(from + i * kPartLanes);
    return result;
  }

  void store(double* to) const {
    for (Index i = 0; i < kParts; ++i) part[i].store_unaligned(to + i * kPartLanes);
  }

  static DoubleLanes widen(const Lanes<A>& narrow) {
    DoubleLanes result;
    for (Index i = 0; i < Lanes<A>::kParts; ++i) {
      if constexpr (std::is_same_v<A, Avx512>) {
        const __m512 value = narrow.part[i];
        result.part[2 * i] = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
        result.part[2 * i + 1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
      } else if constexpr (std::is_same_v<A, Avx2>) {
        const __m256 value = narrow.part[i];
        result.part[2 * i] = _mm256_cvtps_pd(_mm256_castps256_ps128(value));
        result.part[2 * i + 1] = _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1));
      } else {
        const __m128 value = narrow.part[i];
        result.part[2 * i] = _mm_cvtps_pd(value);
        result.part[2 * i + 1] = _mm_cvtps_pd(_mm_movehl_ps(value, value));
      }
    }
    return result;
  }

  friend DoubleLanes operator+(const DoubleLanes& a, const DoubleLanes& b) {
    DoubleLanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = a.part[i] + b.part[i];
    return result;
  }

  friend DoubleLanes fma(const DoubleLanes& a, const DoubleLanes& b, const DoubleLanes& c) {
    DoubleLanes result;
    for (Index i = 0; i < kParts; ++i) result.part[i] = fused_multiply_add<A>(a.part[i], b.part[i], c.part[i]);
    return result;
  }
};

// Orders streaming stores before what the thread does next.
inline void stream_fence() { _mm_sfence(); }

inline bool aligned_for_streaming(const void* address) {
  return (reinterpret_cast<std::uintptr_t>(address) & 63U) == 0;
}

}  // namespace
}  // namespace xbn::kernels
