#pragma once

/// What the comparison and the parity check have in common.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "worker_process.hpp"

namespace bench {

struct Run {
  CommandLine command_line{};
  std::vector<std::unique_ptr<WorkerProcess>> workers{};
};

/// Parses the arguments, starts the workers, prints what is being run, and calls `body`, which returns the exit code
/// and the results for --json. Returns the exit code: 2 where nothing could be run.
int run_front_end(const std::string& description, int argc, const char* const* argv,
                  const std::function<int(Run& run, nlohmann::json& results)>& body);

/// Time that a case takes, in arbitrary units.
double work_of(const Case& test_case);
double work_of(const std::vector<Case>& cases);

/// "3 of 27: NAME DIR TAG".
std::string progress_text(const std::vector<Case>& cases, std::size_t index);

}  // namespace bench
