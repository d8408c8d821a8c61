#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace train {

struct CommandLine {
  std::filesystem::path out{};
  std::filesystem::path data{};
  std::filesystem::path images{};
  std::filesystem::path labels{};
  std::vector<std::string> experiments{};  ///< ids, in the order of all_experiments()
  bool quick = false;
  std::uint64_t seed = 1;
  std::int64_t samples = 0;
  int jobs = 1;
};

/// Nothing where help was asked for. Throws std::invalid_argument, whose message names the argument.
std::optional<CommandLine> parse_command_line(int argc, const char* const* argv);

/// The data that the command line names.
Dataset read_data(const CommandLine& command_line);

}  // namespace train
