#include "stream.hpp"

#include <algorithm>
#include <immintrin.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace bench {
namespace {

constexpr std::int64_t floats_per_line = 16;

/// Where the four vectors of a turn lie: side by side, or each in a quarter of its own.
struct Turns {
  std::int64_t count;
  std::int64_t stride;
  std::int64_t distance;
};

Turns turns_of(std::int64_t elements, std::int64_t width, Places places) {
  if (places == Places::one) return {elements / (4 * width), 4 * width, width};
  const std::int64_t quarter = elements / (4 * floats_per_line) * floats_per_line;
  return {quarter / width, width, quarter};
}

/// Four vectors a turn; `out` begins at a line. Copies, or adds the second source.
template <Store store, bool two_sources>
__attribute__((target("avx512f"))) void stream_avx512(const float* first, const float* second, float* out,
                                                      std::int64_t elements, Places places) {
  const Turns turns = turns_of(elements, 16, places);
  for (std::int64_t turn = 0; turn < turns.count; ++turn) {
    const std::int64_t i = turn * turns.stride;
    __m512 line[4];
    for (int l = 0; l < 4; ++l) {
      line[l] = _mm512_loadu_ps(first + i + turns.distance * l);
      if constexpr (two_sources) line[l] = _mm512_add_ps(line[l], _mm512_loadu_ps(second + i + turns.distance * l));
    }
    for (int l = 0; l < 4; ++l) {
      if constexpr (store == Store::streaming) {
        _mm512_stream_ps(out + i + turns.distance * l, line[l]);
      } else {
        _mm512_store_ps(out + i + turns.distance * l, line[l]);
      }
    }
  }
  for (std::int64_t i = turns.count * 4 * 16; i < elements; ++i) out[i] = two_sources ? first[i] + second[i] : first[i];
  if constexpr (store == Store::streaming) _mm_sfence();
}

template <Store store, bool two_sources>
__attribute__((target("avx"))) void stream_avx(const float* first, const float* second, float* out,
                                               std::int64_t elements, Places places) {
  const Turns turns = turns_of(elements, 8, places);
  for (std::int64_t turn = 0; turn < turns.count; ++turn) {
    const std::int64_t i = turn * turns.stride;
    __m256 half[4];
    for (int h = 0; h < 4; ++h) {
      half[h] = _mm256_loadu_ps(first + i + turns.distance * h);
      if constexpr (two_sources) half[h] = _mm256_add_ps(half[h], _mm256_loadu_ps(second + i + turns.distance * h));
    }
    for (int h = 0; h < 4; ++h) {
      if constexpr (store == Store::streaming) {
        _mm256_stream_ps(out + i + turns.distance * h, half[h]);
      } else {
        _mm256_store_ps(out + i + turns.distance * h, half[h]);
      }
    }
  }
  for (std::int64_t i = turns.count * 4 * 8; i < elements; ++i) out[i] = two_sources ? first[i] + second[i] : first[i];
  if constexpr (store == Store::streaming) _mm_sfence();
}

template <Store store, bool two_sources>
void stream_sse2(const float* first, const float* second, float* out, std::int64_t elements, Places places) {
  const Turns turns = turns_of(elements, 4, places);
  for (std::int64_t turn = 0; turn < turns.count; ++turn) {
    const std::int64_t i = turn * turns.stride;
    __m128 quarter[4];
    for (int q = 0; q < 4; ++q) {
      quarter[q] = _mm_loadu_ps(first + i + turns.distance * q);
      if constexpr (two_sources) quarter[q] = _mm_add_ps(quarter[q], _mm_loadu_ps(second + i + turns.distance * q));
    }
    for (int q = 0; q < 4; ++q) {
      if constexpr (store == Store::streaming) {
        _mm_stream_ps(out + i + turns.distance * q, quarter[q]);
      } else {
        _mm_store_ps(out + i + turns.distance * q, quarter[q]);
      }
    }
  }
  for (std::int64_t i = turns.count * 4 * 4; i < elements; ++i) out[i] = two_sources ? first[i] + second[i] : first[i];
  if constexpr (store == Store::streaming) _mm_sfence();
}

template <Store store, bool two_sources>
auto widest_kernel() {
  if (__builtin_cpu_supports("avx512f")) return stream_avx512<store, two_sources>;
  if (__builtin_cpu_supports("avx")) return stream_avx<store, two_sources>;
  return stream_sse2<store, two_sources>;
}

template <bool two_sources>
auto widest_kernel(Store store) {
  return store == Store::streaming ? widest_kernel<Store::streaming, two_sources>()
                                   : widest_kernel<Store::ordinary, two_sources>();
}

}  // namespace

StreamContender::StreamContender(const Case& test_case, const Tensors& tensors, Store store, Threads threads,
                                 Places places)
    : first_(test_case.backward() ? tensors.dy : tensors.x),
      second_(tensors.x),
      out_(tensors.out),
      elements_(geometry_of(test_case).elements()),
      threads_(threads),
      places_(places) {
  const bool two_sources = test_case.backward() && test_case.needs_x();
  kernel_ = two_sources ? widest_kernel<true>(store) : widest_kernel<false>(store);
}

void StreamContender::run() {
  if (threads_ == Threads::one) return kernel_(first_, second_, out_, elements_, places_);
  const std::int64_t threads = tbb::this_task_arena::max_concurrency();
  const std::int64_t lines = (elements_ + floats_per_line - 1) / floats_per_line;
  const std::int64_t part = (lines + threads - 1) / threads * floats_per_line;
  tbb::parallel_for(
      std::int64_t{0}, threads,
      [&](std::int64_t thread) {
        const std::int64_t begin = std::min(thread * part, elements_);
        const std::int64_t end = std::min(begin + part, elements_);
        kernel_(first_ + begin, second_ + begin, out_ + begin, end - begin, places_);
      },
      tbb::static_partitioner());
}

}  // namespace bench
