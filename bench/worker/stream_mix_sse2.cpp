#include "stream_mix_kernel.hpp"

namespace bench {
namespace {

struct Set {
  using Register = __m128i;
  static Register load(const Register* from) { return _mm_loadu_si128(from); }
  static void store(Register* to, Register value) { _mm_store_si128(to, value); }
  static void stream(Register* to, Register value) { _mm_stream_si128(to, value); }
  static Register exclusive_or(Register a, Register b) { return _mm_xor_si128(a, b); }
};

}  // namespace

void stream_mix_sse2(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming) {
  stream_mix_by<Set>(mix, first, count, places, streaming);
}

}  // namespace bench
