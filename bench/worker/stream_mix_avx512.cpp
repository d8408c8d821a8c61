#include "stream_mix_kernel.hpp"

namespace bench {
namespace {

struct Set {
  using Register = __m512i;
  static Register load(const Register* from) { return _mm512_loadu_si512(from); }
  static void store(Register* to, Register value) { _mm512_store_si512(to, value); }
  static void stream(Register* to, Register value) { _mm512_stream_si512(to, value); }
  static Register exclusive_or(Register a, Register b) { return _mm512_xor_si512(a, b); }
};

}  // namespace

void stream_mix_avx512(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming) {
  stream_mix_by<Set>(mix, first, count, places, streaming);
}

}  // namespace bench
