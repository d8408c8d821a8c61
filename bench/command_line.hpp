#pragma once

/// The knobs that the comparison and the parity check share.

#include <optional>
#include <string>
#include <vector>

#include "cases.hpp"
#include "worker_process.hpp"

namespace bench {

struct CommandLine {
  std::vector<Case> cases{};
  WorkerSettings worker{};
  std::vector<std::string> onednn{};  ///< names or prefixes; empty: the default
  std::string json_file{};            ///< empty: none
};

/// Nothing where help was asked for, which has then been printed. Throws std::invalid_argument (ParseError among them)
/// where an argument is not what it must be.
std::optional<CommandLine> parse_command_line(const std::string& description, int argc, const char* const* argv);

}  // namespace bench
