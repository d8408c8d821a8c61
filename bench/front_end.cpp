#include "front_end.hpp"

#include <csignal>
#include <cstdio>
#include <exception>

#include "json_file.hpp"
#include "report.hpp"

namespace bench {
namespace {

void print_header(const Run& run, const std::string& notice) {
  const WorkerSettings& settings = run.command_line.worker;
  if (!notice.empty()) std::printf("%s\n", notice.c_str());
  std::printf("%s, %d thread%s, xbn %s%s, %d repetitions\n", processor().c_str(), settings.threads,
              settings.threads == 1 ? "" : "s", run.workers.front()->isa().c_str(),
              settings.isa.empty() ? "" : " (oneDNN limited to the same)", settings.repetitions);
  for (const auto& worker : run.workers) {
    std::printf("oneDNN %s: %s\n", worker->name().c_str(), worker->version().c_str());
  }
  std::fflush(stdout);
}

}  // namespace

int run_front_end(const std::string& description, int argc, const char* const* argv,
                  const std::function<int(Run& run, nlohmann::json& results)>& body) {
  constexpr int nothing_run = 2;
  std::signal(SIGPIPE, SIG_IGN);
  Run run;
  std::ofstream json;
  try {
    const std::optional<CommandLine> command_line = parse_command_line(description, argc, argv);
    if (!command_line) return 0;
    run.command_line = *command_line;
    const OneDnnChoice choice = choose_onednn(run.command_line.onednn);
    json = open_json(run.command_line.json_file);
    for (const OneDnnBuild& build : choice.builds) {
      run.workers.push_back(std::make_unique<WorkerProcess>(build, run.command_line.worker));
    }
    print_header(run, choice.notice);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return nothing_run;
  }
  nlohmann::json results = nlohmann::json::array();
  int exit_code = 1;
  try {
    exit_code = body(run, results);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  if (json.is_open()) json << results.dump(2) << '\n';
  return exit_code;
}

double work_of(const Case& test_case) {
  constexpr double of_a_small_case = 1e7;
  const Shape& shape = test_case.shape;
  return of_a_small_case + static_cast<double>(shape.batch) * static_cast<double>(shape.channels * shape.spatial()) *
                               (test_case.backward() ? 1.5 : 1.0);
}

double work_of(const std::vector<Case>& cases) {
  double work = 0;
  for (const Case& test_case : cases) work += work_of(test_case);
  return work;
}

std::string progress_text(const std::vector<Case>& cases, std::size_t index) {
  const Case& test_case = cases[index];
  return std::to_string(index + 1) + " of " + std::to_string(cases.size()) + ": " + label(test_case.shape) + ' ' +
         std::string(name(test_case.direction)) + ' ' + std::string(name(test_case.tag));
}

}  // namespace bench
