#include "stream_mix.hpp"

namespace bench {

void stream_mix(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming) {
  if (__builtin_cpu_supports("avx512f")) return stream_mix_avx512(mix, first, count, places, streaming);
  if (__builtin_cpu_supports("avx")) return stream_mix_avx(mix, first, count, places, streaming);
  stream_mix_sse2(mix, first, count, places, streaming);
}

}  // namespace bench
