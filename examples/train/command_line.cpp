#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "data/csv.hpp"
#include "data/idx.hpp"
#include "experiments/experiment.hpp"

namespace train {
namespace {

std::vector<std::string> chosen_experiments(const std::vector<std::string>& names) {
  std::string known;
  std::vector<std::string> chosen;
  for (const Experiment& experiment : all_experiments()) {
    known += (known.empty() ? "" : ", ") + std::string(experiment.id);
    if (names.empty() || std::find(names.begin(), names.end(), experiment.id) != names.end()) {
      chosen.emplace_back(experiment.id);
    }
  }
  for (const std::string& name : names) {
    if (std::find(chosen.begin(), chosen.end(), name) == chosen.end()) {
      throw std::invalid_argument("--experiments: must be of " + known + "; was '" + name + "'");
    }
  }
  return chosen;
}

std::string list_of_experiments() {
  std::string list = "Experiments:";
  for (const Experiment& experiment : all_experiments()) {
    list += "\n  " + std::string(experiment.id) + "  " + std::string(experiment.title);
  }
  return list;
}

void check_data(const CommandLine& command_line) {
  const bool csv = !command_line.data.empty();
  const bool images = !command_line.images.empty();
  const bool labels = !command_line.labels.empty();
  if (images != labels) {
    throw std::invalid_argument("--images and --labels: must be given together; " +
                                std::string(images ? "--labels" : "--images") + " is missing");
  }
  if (csv == images) {
    throw std::invalid_argument("data: must be given by --data or by --images and --labels; was given by " +
                                std::string(csv ? "both" : "neither"));
  }
}

}  // namespace

std::optional<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine command_line;
  command_line.samples = 4000;
  command_line.jobs = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 16U));
  std::vector<std::string> experiments;
  CLI::App app("Trains networks with xbn, with and without batch norm, and writes results.json",
               std::filesystem::path(argv[0]).filename());
  app.footer(list_of_experiments());
  app.add_option("--out", command_line.out, "folder for results.json, made where it is missing")->required();
  app.add_option("--data", command_line.data, "samples as CSV, the last column the label; may be gzipped");
  app.add_option("--images", command_line.images, "images as IDX, as MNIST's are; may be gzipped");
  app.add_option("--labels", command_line.labels, "their labels as IDX");
  app.add_option("--experiments", experiments, "which, separated by commas [all]")->delimiter(',');
  app.add_flag("--quick", command_line.quick, "fewer and shorter trainings");
  app.add_option("--seed", command_line.seed, "of all random numbers")->capture_default_str();
  app.add_option("--samples", command_line.samples, "how many to take at most, one in five for the test")
      ->check(CLI::Range(std::int64_t{200}, std::int64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("--jobs", command_line.jobs, "trainings that run side by side; changes no result")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(error.what());
  }
  check_data(command_line);
  command_line.experiments = chosen_experiments(experiments);
  return command_line;
}

Dataset read_data(const CommandLine& command_line) {
  return command_line.data.empty() ? read_idx(command_line.images, command_line.labels) : read_csv(command_line.data);
}

}  // namespace train
