// Trains networks with and without batch norm, experiment by experiment, and keeps results.json up to date.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>

#include <xbn/xbn.hpp>

#include "command_line.hpp"
#include "experiments/experiment.hpp"
#include "interrupt.hpp"
#include "results.hpp"

namespace train {
namespace {

constexpr int interrupted_status = 130;

json describe(const CommandLine& command_line, const Context& context) {
  const std::filesystem::path& file = command_line.data.empty() ? command_line.images : command_line.data;
  return {{"seed", command_line.seed},
          {"quick", command_line.quick},
          {"complete", false},
          {"data",
           {{"file", file.filename().string()},
            {"train", context.raw.train.samples()},
            {"test", context.raw.test.samples()},
            {"features", context.raw.train.features},
            {"classes", context.raw.train.classes}}},
          {"machine", {{"processor", processor()}, {"instruction_set", xbn::name(xbn::current_isa())}}},
          {"experiments", json::object()}};
}

int run(const CommandLine& command_line) {
  Context context;
  context.seed = command_line.seed;
  context.quick = command_line.quick;
  context.jobs = command_line.jobs;
  constexpr std::int64_t least_samples = 200;
  context.raw = split(read_data(command_line), least_samples, command_line.samples, command_line.seed);
  context.normalised = standardised(context.raw);
  std::filesystem::create_directories(command_line.out);

  json results = describe(command_line, context);
  write_results(command_line.out, results);
  std::vector<Experiment> experiments;
  double work = 0;
  for (const Experiment& experiment : all_experiments()) {
    const auto& chosen = command_line.experiments;
    if (std::find(chosen.begin(), chosen.end(), experiment.id) == chosen.end()) continue;
    experiments.push_back(experiment);
    work += experiment.work;
  }
  Progress progress(work);
  context.progress = &progress;
  for (const Experiment& experiment : experiments) {
    progress.begin_stage(std::string(experiment.id) + ": " + std::string(experiment.title), experiment.work);
    const auto start = std::chrono::steady_clock::now();
    json result;
    try {
      throw_if_interrupted();
      result = experiment.run(context);
    } catch (const Interrupted&) {
      return interrupted_status;
    }
    result["title"] = experiment.title;
    result["times"]["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    results["experiments"][std::string(experiment.id)] = std::move(result);
    results["complete"] = &experiment == &experiments.back();
    write_results(command_line.out, results);
    progress.end_stage();
  }
  return 0;
}

}  // namespace
}  // namespace train

int main(int argc, char** argv) {
  try {
    const std::optional<train::CommandLine> command_line = train::parse_command_line(argc, argv);
    if (!command_line) return 0;
    train::catch_interrupts();
    const int status = train::run(*command_line);
    if (status != 0) std::fputs("xbn_train: interrupted; results.json has what was done\n", stderr);
    return status;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "xbn_train: %s\n", error.what());
    return 2;
  }
}
