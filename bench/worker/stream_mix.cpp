#include "stream_mix.hpp"

#include <cstring>
#include <emmintrin.h>

namespace bench {
namespace {

constexpr int turns_a_group = 8;
constexpr int line_bytes = 64;
constexpr int vectors = 4;  // of a line: 16 bytes at a time saturate any memory

/// Lines of a tensor in one turn of a group; a mask has one line in the first.
int lines_of(int bits, int turn) { return bits == 1 ? (turn == 0 ? 1 : 0) : bits / 8; }

/// Where a turn's lines begin, in bytes.
std::int64_t start_of(int bits, std::int64_t element, int turn) {
  return element / 8 * bits + (bits == 1 ? 0 : std::int64_t{turn} * line_bytes * (bits / 8));
}

template <bool streaming>
void group(const Mix& mix, std::int64_t element) {
  for (int turn = 0; turn < turns_a_group; ++turn) {
    __m128i sum[vectors] = {};
    for (const Mix::Read& read : mix.reads) {
      const std::byte* from = read.data + start_of(read.bits, element, turn);
      for (int line = lines_of(read.bits, turn); line > 0; --line, from += line_bytes) {
        for (int v = 0; v < vectors; ++v) {
          sum[v] = _mm_xor_si128(sum[v], _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + v));
        }
      }
    }
    for (const Mix::Write& write : mix.writes) {
      std::byte* to = write.data + start_of(write.bits, element, turn);
      for (int line = lines_of(write.bits, turn); line > 0; --line, to += line_bytes) {
        for (int v = 0; v < vectors; ++v) {
          auto* const vector = reinterpret_cast<__m128i*>(to) + v;
          if constexpr (streaming) {
            _mm_stream_si128(vector, sum[v]);
          } else {
            _mm_store_si128(vector, sum[v]);
          }
        }
      }
    }
  }
}

template <bool streaming>
void stream(const Mix& mix, std::int64_t first, std::int64_t count, int places) {
  const std::int64_t groups = count / mix_group / places;
  for (std::int64_t g = 0; g < groups; ++g) {
    for (int place = 0; place < places; ++place) group<streaming>(mix, first + (place * groups + g) * mix_group);
  }
  // What is left over is less than a group a place: its bytes are written, from what was read last.
  const std::int64_t done = groups * places * mix_group;
  for (const Mix::Write& write : mix.writes) {
    const std::int64_t begin = (first + done) * write.bits / 8, end = ((first + count) * write.bits + 7) / 8;
    std::memset(write.data + begin, 0, static_cast<std::size_t>(end - begin));
  }
  if constexpr (streaming) _mm_sfence();
}

}  // namespace

void stream_mix(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming) {
  if (streaming) {
    stream<true>(mix, first, count, places);
  } else {
    stream<false>(mix, first, count, places);
  }
}

}  // namespace bench
