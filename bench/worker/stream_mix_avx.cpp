#include "stream_mix_kernel.hpp"

namespace bench {
namespace {

struct Set {
  using Register = __m256i;
  static Register load(const Register* from) { return _mm256_loadu_si256(from); }
  static void store(Register* to, Register value) { _mm256_store_si256(to, value); }
  static void stream(Register* to, Register value) { _mm256_stream_si256(to, value); }
  static Register exclusive_or(Register a, Register b) {
    return _mm256_castps_si256(_mm256_xor_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
  }
};

}  // namespace

void stream_mix_avx(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming) {
  stream_mix_by<Set>(mix, first, count, places, streaming);
}

}  // namespace bench
