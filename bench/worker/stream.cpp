#include "stream.hpp"

#include <algorithm>
#include <cstring>
#include <immintrin.h>
#include <new>
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

/// What has to be read and written, whatever the algorithm. `mask` is a buffer of as many bytes as a mask has.
Mix mix_of(const Case& test_case, const Tensors& tensors, std::byte* mask) {
  const auto bits = [](const Tensor& tensor) { return static_cast<int>(xbn::size_of(tensor.type)) * 8; };
  Mix mix;
  const auto read = [&](const Tensor& tensor) { mix.reads.push_back({tensor.data, bits(tensor)}); };
  const auto write = [&](const Tensor& tensor) { mix.writes.push_back({tensor.data, bits(tensor)}); };
  const bool add = test_case.flags.add_relu;
  if (test_case.backward()) {
    read(tensors.dy);
    if (test_case.needs_x()) read(tensors.x);
    if (test_case.has_mask()) mix.reads.push_back({mask, 1});
    write(tensors.dx);
    if (add) write(tensors.d_residual);
    return mix;
  }
  read(tensors.x);
  if (add) read(tensors.residual);
  write(tensors.y);
  if (test_case.has_mask()) mix.writes.push_back({mask, 1});
  return mix;
}

/// Whether every tensor has as many bytes as the others, and they are one or two read and one written.
bool is_plain(const Mix& mix) {
  if (mix.reads.size() > 2 || mix.writes.size() > 1) return false;
  const int bits = mix.writes.front().bits;
  return std::all_of(mix.reads.begin(), mix.reads.end(), [&](const Mix::Read& read) { return read.bits == bits; });
}

constexpr std::align_val_t line{64};

}  // namespace

void StreamContender::FreeLines::operator()(std::byte* data) const { ::operator delete(data, line); }

StreamContender::StreamContender(const Case& test_case, const Tensors& tensors, Store store, Threads threads,
                                 Places places)
    : elements_(geometry_of(test_case).elements()), store_(store), threads_(threads), places_(places) {
  if (test_case.has_mask()) {
    const auto bytes = static_cast<std::size_t>(elements_ / 8 + 1);
    mask_.reset(static_cast<std::byte*>(::operator new(bytes, line)));
    std::memset(mask_.get(), 0, bytes);
  }
  mix_ = mix_of(test_case, tensors, mask_.get());
  if (!is_plain(mix_)) return;
  kernel_ = mix_.reads.size() == 2 ? widest_kernel<true>(store) : widest_kernel<false>(store);
  floats_ = elements_ * mix_.writes.front().bits / 8 / static_cast<std::int64_t>(sizeof(float));
}

void StreamContender::run_part(std::int64_t begin, std::int64_t end) {
  if (kernel_ == nullptr) {
    return stream_mix(mix_, begin, end - begin, places_ == Places::four ? 4 : 1, store_ == Store::streaming);
  }
  const auto* const first = reinterpret_cast<const float*>(mix_.reads.front().data);
  const auto* const second = reinterpret_cast<const float*>(mix_.reads.back().data);
  auto* const out = reinterpret_cast<float*>(mix_.writes.front().data);
  kernel_(first + begin, second + begin, out + begin, end - begin, places_);
}

void StreamContender::run() {
  const std::int64_t count = kernel_ != nullptr ? floats_ : elements_;
  if (threads_ == Threads::one) return run_part(0, count);
  const std::int64_t threads = tbb::this_task_arena::max_concurrency();
  const std::int64_t unit = kernel_ != nullptr ? floats_per_line : mix_group;
  const std::int64_t part = ((count + unit - 1) / unit + threads - 1) / threads * unit;
  tbb::parallel_for(
      std::int64_t{0}, threads,
      [&](std::int64_t thread) {
        const std::int64_t begin = std::min(thread * part, count);
        run_part(begin, std::min(begin + part, count));
      },
      tbb::static_partitioner());
}

}  // namespace bench
