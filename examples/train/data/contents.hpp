#pragma once

#include <filesystem>
#include <string>

namespace train {

/// The contents of a file, decompressed where it is a gzip file, whatever its name. Throws FileError where it cannot be
/// read, and where the compressed data is damaged or ends too early.
std::string read_contents(const std::filesystem::path& file);

}  // namespace train
