#include "separate_calls.hpp"

#include <algorithm>
#include <immintrin.h>
#include <stdexcept>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace bench {
namespace {

constexpr std::int64_t vector = 8;

/// Calls part(begin, end) for equal parts of the elements, one a thread, each beginning at a whole cache line and byte
/// of bits.
template <class Part>
void in_parallel(std::int64_t elements, const Part& part) {
  constexpr std::int64_t unit = 512;
  const std::int64_t threads = tbb::this_task_arena::max_concurrency();
  const std::int64_t length = ((elements + unit - 1) / unit + threads - 1) / threads * unit;
  tbb::parallel_for(
      std::int64_t{0}, threads,
      [&](std::int64_t thread) {
        const std::int64_t begin = std::min(thread * length, elements);
        part(begin, std::min(begin + length, elements));
      },
      tbb::static_partitioner());
}

__attribute__((target("avx2"))) void add(float* y, const float* residual, std::int64_t begin, std::int64_t end) {
  std::int64_t i = begin;
  for (; i + vector <= end; i += vector) {
    _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(residual + i)));
  }
  for (; i < end; ++i) y[i] += residual[i];
}

/// Without bits where that is null.
__attribute__((target("avx2"))) void relu(float* y, std::uint8_t* bits, std::int64_t begin, std::int64_t end) {
  const __m256 zero = _mm256_setzero_ps();
  std::int64_t i = begin;
  for (; i + vector <= end; i += vector) {
    const __m256 z = _mm256_loadu_ps(y + i);
    _mm256_storeu_ps(y + i, _mm256_max_ps(z, zero));
    if (bits != nullptr) {
      bits[i / 8] = static_cast<std::uint8_t>(_mm256_movemask_ps(_mm256_cmp_ps(z, zero, _CMP_NLE_UQ)));
    }
  }
  if (i < end && bits != nullptr) bits[i / 8] = 0;
  for (; i < end; ++i) {
    if (bits != nullptr && !(y[i] <= 0)) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1 << (i % 8));
    y[i] = std::max(y[i], 0.0F);
  }
}

/// dz is not wanted from the cache before all of it is written: it is streamed.
__attribute__((target("avx2"))) void relu_gradient(const float* dy, const std::uint8_t* bits, float* dz,
                                                   std::int64_t begin, std::int64_t end) {
  const __m256i of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  std::int64_t i = begin;
  for (; i + vector <= end; i += vector) {
    const __m256i chosen = _mm256_and_si256(_mm256_set1_epi32(bits[i / 8]), of_lane);
    const __m256 passed = _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, of_lane));
    _mm256_stream_ps(dz + i, _mm256_and_ps(_mm256_loadu_ps(dy + i), passed));
  }
  for (; i < end; ++i) dz[i] = (bits[i / 8] >> (i % 8) & 1) != 0 ? dy[i] : 0.0F;
  _mm_sfence();
}

Case without_fusions(Case test_case) {
  test_case.flags.add_relu = false;
  return test_case;
}

/// Backward's batch norm reads dz where ReLU's gradient leaves it.
Tensors of_batch_norm(Tensors tensors) {
  if (tensors.d_residual.data != nullptr) tensors.dy = tensors.d_residual;
  tensors.residual = tensors.d_residual = {};
  return tensors;
}

}  // namespace

SeparateCalls::SeparateCalls(const Case& test_case, const Tensors& tensors)
    : case_(test_case),
      tensors_(tensors),
      elements_(geometry_of(test_case).elements()),
      batch_norm_(without_fusions(test_case), of_batch_norm(tensors)) {
  if (!__builtin_cpu_supports("avx2")) throw std::runtime_error("the separate calls must have AVX2; there is none");
  if (test_case.has_mask()) bits_.resize(static_cast<std::size_t>(elements_ / 8 + 1));
}

void SeparateCalls::forward() {
  batch_norm_.write_mask();
  auto* const y = tensors_.y.as<float>();
  const auto* const residual = tensors_.residual.as<float>();
  std::uint8_t* const bits = bits_.empty() ? nullptr : bits_.data();
  in_parallel(elements_, [&](std::int64_t begin, std::int64_t end) { add(y, residual, begin, end); });
  in_parallel(elements_, [&](std::int64_t begin, std::int64_t end) { relu(y, bits, begin, end); });
}

void SeparateCalls::run() {
  if (!case_.backward()) return forward();
  const auto* const dy = tensors_.dy.as<float>();
  auto* const dz = tensors_.d_residual.as<float>();
  in_parallel(elements_,
              [&](std::int64_t begin, std::int64_t end) { relu_gradient(dy, bits_.data(), dz, begin, end); });
  batch_norm_.run();
}

}  // namespace bench
