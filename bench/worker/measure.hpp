#pragma once

/// Times of contenders, taken by Google Benchmark.

#include <vector>

#include "contender.hpp"

namespace bench {

/// Seconds a call of each contender, [contender][repetition]. Repetitions are interleaved: each times all contenders
/// one after the other, in an order of its own, as what a contender finds in the caches depends on the one before it.
/// Before each, all other threads of the process sleep and the contender runs once untimed.
std::vector<std::vector<double>> measure(const std::vector<Contender*>& contenders, int repetitions);

/// The same with one call each: enough to tell which contender is much faster.
std::vector<double> estimate(const std::vector<Contender*>& contenders);

}  // namespace bench
