#include "team.hpp"

#include <immintrin.h>
#include <thread>

namespace xbn::internal {

namespace {

// About as long as it takes to see what another core has just written, some times over. Whoever waits longer lets
// others run: the one waited for may have no core.
constexpr int kGlances = 1000;

}  // namespace

void Team::wait(Index loop) const {
  for (int glance = 0; !is_done(loop); ++glance) {
    if (glance < kGlances) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace xbn::internal
