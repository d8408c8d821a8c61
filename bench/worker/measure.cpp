#include "measure.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
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

/// One repetition: seconds a call of each contender.
std::vector<double> run_registered() {
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  return collector.seconds;
}

void register_contender(Contender& contender, benchmark::IterationCount calls) {
  const auto time = [&contender](benchmark::State& state) {
    wait_until_others_sleep();
    contender.run();
    for (auto _ : state) contender.run();
  };
  benchmark::RegisterBenchmark("contender", time)->Iterations(calls)->UseRealTime();
}

}  // namespace

std::vector<double> estimate(const std::vector<Contender*>& contenders) {
  benchmark::ClearRegisteredBenchmarks();
  for (Contender* contender : contenders) register_contender(*contender, 1);
  return run_registered();
}

std::vector<std::vector<double>> measure(const std::vector<Contender*>& contenders, int repetitions) {
  constexpr double seconds_per_repetition = 0.01;
  constexpr double most_calls = 1e5;
  const std::vector<double> estimates = estimate(contenders);
  benchmark::ClearRegisteredBenchmarks();
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    const double calls = std::clamp(seconds_per_repetition / std::max(estimates[i], 1e-9), 1.0, most_calls);
    register_contender(*contenders[i], static_cast<benchmark::IterationCount>(calls));
  }
  std::vector<std::vector<double>> seconds(contenders.size());
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    const std::vector<double> one = run_registered();
    for (std::size_t i = 0; i < contenders.size(); ++i) seconds[i].push_back(one[i]);
  }
  benchmark::ClearRegisteredBenchmarks();
  return seconds;
}

}  // namespace bench
