#pragma once

// The 16 lanes from and to memory of every element type. Nothing here depends on the caller's flush-to-zero mode: what
// is subnormal in bfloat16 or float16 is kept. Equal bits on every instruction set.

#include "kernels/pack_bits.hpp"
#include "xbn/types.hpp"

namespace xbn::kernels {
namespace {

// What elements of type T are computed in.
template <class T>
using RealOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class A, class T>
using RealLanes = Pack<A, RealOf<T>, kLanes>;

template <class A>
using IntLanes = Pack<A, std::int32_t, kLanes>;

// 16 elements as they are in memory.
template <class A, int kBytes>
struct Image;

template <class A>
struct Image<A, 32> {
  __m256i all;

  static Image load(const void* from) { return {_mm256_loadu_si256(static_cast<const __m256i*>(from))}; }
  void store(void* to) const { _mm256_storeu_si256(static_cast<__m256i*>(to), all); }
  void stream(void* to) const { _mm256_stream_si256(static_cast<__m256i*>(to), all); }
};

template <>
struct Image<Sse2, 32> {
  __m128i low;
  __m128i high;

  static Image load(const void* from) {
    const auto* halves = static_cast<const __m128i*>(from);
    return {_mm_loadu_si128(halves), _mm_loadu_si128(halves + 1)};
  }
  void store(void* to) const {
    _mm_storeu_si128(static_cast<__m128i*>(to), low);
    _mm_storeu_si128(static_cast<__m128i*>(to) + 1, high);
  }
  void stream(void* to) const {
    _mm_stream_si128(static_cast<__m128i*>(to), low);
    _mm_stream_si128(static_cast<__m128i*>(to) + 1, high);
  }
};

template <class A>
struct Image<A, 16> {
  __m128i all;

  static Image load(const void* from) { return {_mm_loadu_si128(static_cast<const __m128i*>(from))}; }
  void store(void* to) const { _mm_storeu_si128(static_cast<__m128i*>(to), all); }
  void stream(void* to) const { _mm_stream_si128(static_cast<__m128i*>(to), all); }
};

template <class A, class T>
using ImageOf = Image<A, static_cast<int>(kLanes * sizeof(T))>;

// Fewer than 32 bytes. Not memcpy, which would be called.
inline void copy_bytes(void* to, const void* from, Index bytes) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  const auto copy = [&]<int kBytes>(std::integral_constant<int, kBytes>) {
    if ((bytes & kBytes) == 0) return;
    __builtin_memcpy(out, in, kBytes);
    out += kBytes;
    in += kBytes;
  };
  copy(std::integral_constant<int, 16>{});
  copy(std::integral_constant<int, 8>{});
  copy(std::integral_constant<int, 4>{});
  copy(std::integral_constant<int, 2>{});
  copy(std::integral_constant<int, 1>{});
}

template <class A, class T>
inline ImageOf<A, T> load_first_of_image(const T* from, Index count) {
  if (count >= kLanes) return ImageOf<A, T>::load(from);
  if (count <= 0) count = 0;
  if constexpr (std::is_same_v<A, Avx512>) {
    const auto first = static_cast<__mmask16>((1U << count) - 1U);
    if constexpr (sizeof(T) == 2)
      return {_mm256_maskz_loadu_epi16(first, from)};
    else
      return {_mm_maskz_loadu_epi8(first, from)};
  } else {
    alignas(32) unsigned char bytes[sizeof(ImageOf<A, T>)] = {};
    copy_bytes(bytes, from, count * static_cast<Index>(sizeof(T)));
    return ImageOf<A, T>::load(bytes);
  }
}

template <class A, class T>
inline void store_first_of_image(const ImageOf<A, T>& image, T* to, Index count) {
  if (count >= kLanes) return image.store(to);
  if (count <= 0) return;
  if constexpr (std::is_same_v<A, Avx512>) {
    const auto first = static_cast<__mmask16>((1U << count) - 1U);
    if constexpr (sizeof(T) == 2)
      _mm256_mask_storeu_epi16(to, first, image.all);
    else
      _mm_mask_storeu_epi8(to, first, image.all);
  } else {
    alignas(32) unsigned char bytes[sizeof(image)];
    image.store(bytes);
    copy_bytes(to, bytes, count * static_cast<Index>(sizeof(T)));
  }
}

// To 32 bits each: of 16 bits without sign, of 8 bits with T's.
template <class T, class A, int kBytes>
inline IntLanes<A> widen_image(const Image<A, kBytes>& image) {
  constexpr bool kSigned = std::is_signed_v<T>;
  if constexpr (std::is_same_v<A, Avx512>) {
    if constexpr (kBytes == 32)
      return {_mm512_cvtepu16_epi32(image.all)};
    else if constexpr (kSigned)
      return {_mm512_cvtepi8_epi32(image.all)};
    else
      return {_mm512_cvtepu8_epi32(image.all)};
  } else if constexpr (std::is_same_v<A, Avx2>) {
    if constexpr (kBytes == 32) {
      return {{_mm256_cvtepu16_epi32(_mm256_castsi256_si128(image.all))},
              {_mm256_cvtepu16_epi32(_mm256_extracti128_si256(image.all, 1))}};
    } else {
      const __m128i high = _mm_srli_si128(image.all, 8);
      if constexpr (kSigned)
        return {{_mm256_cvtepi8_epi32(image.all)}, {_mm256_cvtepi8_epi32(high)}};
      else
        return {{_mm256_cvtepu8_epi32(image.all)}, {_mm256_cvtepu8_epi32(high)}};
    }
  } else {
    const __m128i zero = _mm_setzero_si128();
    if constexpr (kBytes == 32) {
      return {{{_mm_unpacklo_epi16(image.low, zero)}, {_mm_unpackhi_epi16(image.low, zero)}},
              {{_mm_unpacklo_epi16(image.high, zero)}, {_mm_unpackhi_epi16(image.high, zero)}}};
    } else {
      const __m128i signs = kSigned ? _mm_cmpgt_epi8(zero, image.all) : zero;
      const __m128i low = _mm_unpacklo_epi8(image.all, signs);
      const __m128i high = _mm_unpackhi_epi8(image.all, signs);
      const __m128i low_signs = kSigned ? _mm_srai_epi16(low, 15) : zero;
      const __m128i high_signs = kSigned ? _mm_srai_epi16(high, 15) : zero;
      return {{{_mm_unpacklo_epi16(low, low_signs)}, {_mm_unpackhi_epi16(low, low_signs)}},
              {{_mm_unpacklo_epi16(high, high_signs)}, {_mm_unpackhi_epi16(high, high_signs)}}};
    }
  }
}

// Which words of AVX-512's register go where: one instruction, where narrowing takes two and widening leaves a shift.
struct WordOrder {
  alignas(64) std::uint16_t from[32];
};
inline constexpr WordOrder kUpperWordsTogether{{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}};
inline constexpr WordOrder kUpperWordsApart{
    {0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0, 13, 0, 14, 0, 15}};

// The upper 16 bits of each.
template <class A>
inline Image<A, 32> upper_words(const IntLanes<A>& lanes) {
  if constexpr (std::is_same_v<A, Avx512>) {
    const __m512i order = _mm512_load_si512(kUpperWordsTogether.from);
    return {_mm512_castsi512_si256(_mm512_permutexvar_epi16(order, lanes.batch))};
  } else if constexpr (std::is_same_v<A, Avx2>) {
    const IntLanes<A> words = shift_right<16>(lanes);
    return {_mm256_permute4x64_epi64(_mm256_packus_epi32(words.low.batch, words.high.batch), 0xd8)};
  } else {
    const auto upper = [](__m128i value) { return _mm_srai_epi32(value, 16); };  // the sign, for want of packus
    return {_mm_packs_epi32(upper(lanes.low.low.batch), upper(lanes.low.high.batch)),
            _mm_packs_epi32(upper(lanes.high.low.batch), upper(lanes.high.high.batch))};
  }
}

// Saturated to T.
template <class T, class A>
inline Image<A, 16> narrow_to_bytes(const IntLanes<A>& lanes) {
  constexpr bool kSigned = std::is_signed_v<T>;
  if constexpr (std::is_same_v<A, Avx512>) {
    if constexpr (kSigned)
      return {_mm512_cvtsepi32_epi8(lanes.batch)};
    else
      return {_mm512_cvtusepi32_epi8(_mm512_max_epi32(lanes.batch, _mm512_setzero_si512()))};
  } else {
    __m128i low, high;
    if constexpr (std::is_same_v<A, Avx2>) {
      const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lanes.low.batch, lanes.high.batch), 0xd8);
      low = _mm256_castsi256_si128(words);
      high = _mm256_extracti128_si256(words, 1);
    } else {
      low = _mm_packs_epi32(lanes.low.low.batch, lanes.low.high.batch);
      high = _mm_packs_epi32(lanes.high.low.batch, lanes.high.high.batch);
    }
    return {kSigned ? _mm_packs_epi16(low, high) : _mm_packus_epi16(low, high)};
  }
}

template <class A>
inline IntLanes<A> all_bits(std::int32_t bits) {
  return IntLanes<A>::all(bits);
}

template <class A>
inline Lanes<A> from_bfloat16(const Image<A, 32>& image) {
  if constexpr (std::is_same_v<A, Avx512>) {
    constexpr __mmask32 kUpper = 0xaaaaaaaaU;
    const __m512i order = _mm512_load_si512(kUpperWordsApart.from);
    const __m512i words = _mm512_castsi256_si512(image.all);
    return {_mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(kUpper, order, words))};
  } else {
    return real_of<float>(shift_left<16>(widen_image<bfloat16>(image)));
  }
}

// Not AVX-512-BF16's instruction, which flushes subnormal numbers.
template <class A>
inline Image<A, 32> to_bfloat16(const Lanes<A>& value) {
  if constexpr (std::is_same_v<A, Avx512>) {
    const __m512i bits = bits_of(value).batch;
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
    const __m512i half = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    const __m512i rounded = _mm512_mask_sub_epi32(half, odd, half, _mm512_set1_epi32(-1));
    // What it answers to quiet NaN and to signalling NaN is the NaN, quiet; to all else, what it was given.
    constexpr int kQuietNan = 0x22;
    const __m512 number =
        _mm512_fixupimm_ps(_mm512_castsi512_ps(rounded), value.batch, _mm512_set1_epi32(kQuietNan), 0);
    return upper_words<A>({_mm512_castps_si512(number)});
  } else {
    const IntLanes<A> bits = bits_of(value);
    const IntLanes<A> odd = shift_right<16>(bits) & all_bits<A>(1);
    const IntLanes<A> rounded = bits + all_bits<A>(0x7fff) + odd;
    return upper_words<A>(select(is_nan(value), bits | all_bits<A>(0x400000), rounded));
  }
}

// Without F16C, by numbers that are not subnormal in single precision, even where they are so in half.
template <class A>
inline Lanes<A> from_float16_by_parts(const Image<A, 32>& image) {
  const IntLanes<A> bits = widen_image<float16>(image);
  const IntLanes<A> magnitude = bits & all_bits<A>(0x7fff);
  const IntLanes<A> sign = shift_left<16>(bits & all_bits<A>(0x8000));
  const IntLanes<A> shifted = shift_left<13>(magnitude);
  constexpr std::int32_t kRebias = 112 << 23;
  const Lanes<A> normal = real_of<float>(shifted + all_bits<A>(kRebias));
  const Lanes<A> non_finite = real_of<float>(shifted + all_bits<A>(2 * kRebias));
  // 2^-14 * (1 + fraction) - 2^-14
  const Lanes<A> subnormal = real_of<float>(shifted + all_bits<A>(kRebias + (1 << 23))) - Lanes<A>::all(0x1p-14F);
  const Lanes<A> finite = select(less(normal, Lanes<A>::all(0x1p-14F)), subnormal, normal);
  const Lanes<A> quieted = non_finite + non_finite;
  return real_of<float>(bits_of(select(less(normal, Lanes<A>::all(0x1p16F)), finite, quieted)) | sign);
}

template <class A>
inline Image<A, 32> to_float16_by_parts(const Lanes<A>& value) {
  const IntLanes<A> bits = bits_of(value);
  const IntLanes<A> magnitude = bits & all_bits<A>(0x7fffffff);
  const IntLanes<A> sign = shift_right<16>(bits) & all_bits<A>(0x8000);
  const Lanes<A> absolute = real_of<float>(magnitude);
  const IntLanes<A> odd = shift_right<13>(magnitude) & all_bits<A>(1);
  const IntLanes<A> normal = shift_right<13>(magnitude + all_bits<A>(0xfff - (112 << 23)) + odd);
  // In [0.5, 1) the last place of a float is worth the last of a subnormal half.
  const IntLanes<A> subnormal = bits_of(absolute + Lanes<A>::all(0.5F)) + all_bits<A>(-0x3f000000);
  const IntLanes<A> nan = (shift_right<13>(bits) & all_bits<A>(0x3ff)) | all_bits<A>(0x7e00);
  const IntLanes<A> finite = select(less(absolute, Lanes<A>::all(0x1p-14F)), subnormal, normal);
  const IntLanes<A> number = select(less(absolute, Lanes<A>::all(0x1p16F)), finite, all_bits<A>(0x7c00));
  return upper_words<A>(shift_left<16>(select(is_nan(value), nan, number) | sign));
}

template <class A>
inline Lanes<A> from_float16(const Image<A, 32>& image) {
  if constexpr (std::is_same_v<A, Avx512>) {
    return {_mm512_cvtph_ps(image.all)};
  } else if constexpr (std::is_same_v<A, Avx2>) {
    return {{_mm256_cvtph_ps(_mm256_castsi256_si128(image.all))},
            {_mm256_cvtph_ps(_mm256_extracti128_si256(image.all, 1))}};
  } else {
    return from_float16_by_parts<A>(image);
  }
}

template <class A>
inline Image<A, 32> to_float16(const Lanes<A>& value) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  if constexpr (std::is_same_v<A, Avx512>) {
    return {_mm512_cvtps_ph(value.batch, kNearest)};
  } else if constexpr (std::is_same_v<A, Avx2>) {
    const __m128i low = _mm256_cvtps_ph(value.low.batch, _MM_FROUND_TO_NEAREST_INT);
    const __m128i high = _mm256_cvtps_ph(value.high.batch, _MM_FROUND_TO_NEAREST_INT);
    return {_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1)};
  } else {
    return to_float16_by_parts<A>(value);
  }
}

template <class A, class Int>
inline Lanes<A> from_integers(const Image<A, 16>& image) {
  using Float = Register<A, float>;
  return map<Lanes<A>>([](Register<A, std::int32_t> x) -> Float { return xsimd::to_float(x); },
                       widen_image<Int>(image));
}

// Saturated; NaN becomes 0.
template <class Int, class A>
inline Image<A, 16> to_integers(const Lanes<A>& value) {
  const Lanes<A> number = select(is_nan(value), Lanes<A>::all(0), value);
  // Beyond the other bound the conversion gives the least integer, which the narrowing saturates.
  const Lanes<A> bounded = lesser(number, Lanes<A>::all(std::is_signed_v<Int> ? 127.0F : 255.0F));
  const IntLanes<A> rounded = map<IntLanes<A>>(
      [](Register<A, float> x) -> Register<A, std::int32_t> {
        if constexpr (std::is_same_v<A, Avx512>)
          return _mm512_cvtps_epi32(x);
        else if constexpr (std::is_same_v<A, Avx2>)
          return _mm256_cvtps_epi32(x);
        else
          return _mm_cvtps_epi32(x);
      },
      bounded);
  return narrow_to_bytes<Int>(rounded);
}

template <class T, class A>
inline Lanes<A> decode(const ImageOf<A, T>& image) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return from_bfloat16<A>(image);
  else if constexpr (std::is_same_v<T, float16>)
    return from_float16<A>(image);
  else
    return from_integers<A, T>(image);
}

template <class T, class A>
inline ImageOf<A, T> encode(const Lanes<A>& lanes) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return to_bfloat16<A>(lanes);
  else if constexpr (std::is_same_v<T, float16>)
    return to_float16<A>(lanes);
  else
    return to_integers<T>(lanes);
}

template <class T>
inline constexpr bool kIsReal = std::is_same_v<T, RealOf<T>>;

template <class A, class T>
inline RealLanes<A, T> load_lanes(const T* from) {
  if constexpr (kIsReal<T>)
    return RealLanes<A, T>::load(from);
  else
    return decode<T, A>(ImageOf<A, T>::load(from));
}

// Lanes from `count` on are zero, and memory there is not touched.
template <class A, class T>
inline RealLanes<A, T> load_first_lanes(const T* from, Index count) {
  if constexpr (kIsReal<T>)
    return RealLanes<A, T>::load_first(from, count);
  else
    return decode<T, A>(load_first_of_image<A>(from, count));
}

template <class A, class T>
inline void store_lanes(const Pack<A, RealOf<T>, kLanes>& lanes, T* to) {
  if constexpr (kIsReal<T>)
    lanes.store(to);
  else
    encode<T, A>(lanes).store(to);
}

template <class A, class T>
inline void store_first_lanes(const Pack<A, RealOf<T>, kLanes>& lanes, T* to, Index count) {
  if constexpr (kIsReal<T>)
    lanes.store_first(to, count);
  else
    store_first_of_image<A>(encode<T, A>(lanes), to, count);
}

// Past the cache. `to` is aligned to 16 elements.
template <class A, class T>
inline void stream_lanes(const Pack<A, RealOf<T>, kLanes>& lanes, T* to) {
  if constexpr (kIsReal<T>)
    lanes.stream(to);
  else
    encode<T, A>(lanes).stream(to);
}

}  // namespace
}  // namespace xbn::kernels
