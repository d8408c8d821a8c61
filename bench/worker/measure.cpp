#include "measure.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <numeric>
#include <random>
#include <string>

#include "sleep.hpp"

namespace bench {
namespace {

/// Keeps the time of a call in place of printing it.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      seconds.push_back(run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit));
    }
  }

  std::vector<double> seconds{};
};

/// Seconds a call of a contender, averaged over `calls` of them.
double time_of(Contender& contender, benchmark::IterationCount calls) {
  const auto time = [&contender](benchmark::State& state) {
    wait_until_others_sleep();
    contender.run();
    for (auto _ : state) contender.run();
  };
  benchmark::RegisterBenchmark("contender", time)->Iterations(calls)->UseRealTime();
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
  return collector.seconds.at(0);
}

}  // namespace

std::vector<double> estimate(const std::vector<Contender*>& contenders) {
  std::vector<double> seconds;
  for (Contender* contender : contenders) seconds.push_back(time_of(*contender, 1));
  return seconds;
}

std::vector<std::vector<double>> measure(const std::vector<Contender*>& contenders, int repetitions) {
  constexpr double seconds_per_repetition = 0.01;
  constexpr double most_calls = 1e5;
  const std::vector<double> estimates = estimate(contenders);
  std::vector<benchmark::IterationCount> calls;
  for (const double once : estimates) {
    calls.push_back(static_cast<benchmark::IterationCount>(
        std::clamp(seconds_per_repetition / std::max(once, 1e-9), 1.0, most_calls)));
  }
  std::vector<std::size_t> order(contenders.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 generator(1);
  std::vector<std::vector<double>> seconds(contenders.size());
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    std::shuffle(order.begin(), order.end(), generator);
    for (const std::size_t i : order) seconds[i].push_back(time_of(*contenders[i], calls[i]));
  }
  return seconds;
}

}  // namespace bench
