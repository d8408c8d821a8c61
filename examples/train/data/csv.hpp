#pragma once

#include <filesystem>
#include <string_view>

#include "data/dataset.hpp"

namespace train {

/// One sample a line, values separated by commas, the last of which is the label: a whole number from 0 to 999. No
/// header. Throws FileError with line and column, `file` being what it calls the file.
Dataset parse_csv(const std::filesystem::path& file, std::string_view text);

/// Of a file, which may be compressed.
Dataset read_csv(const std::filesystem::path& file);

}  // namespace train
