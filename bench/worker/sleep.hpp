#pragma once

namespace bench {

/// Returns once every other thread of this process sleeps. oneDNN's OpenMP threads spin for a while after a call and
/// would take their cores from whoever is timed next. Throws std::runtime_error where they still run after five seconds
/// (OMP_WAIT_POLICY=active).
void wait_until_others_sleep();

}  // namespace bench
