#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace train {

/// What is wrong with a file of data, and where in it.
class FileError : public std::runtime_error {
 public:
  FileError(const std::filesystem::path& file, const std::string& what)
      : std::runtime_error(file.string() + ": " + what) {}

  /// At a line and a column, both counted from 1.
  FileError(const std::filesystem::path& file, std::int64_t line, std::int64_t column, const std::string& what)
      : std::runtime_error(file.string() + ':' + std::to_string(line) + ':' + std::to_string(column) + ": " + what) {}

  /// At a byte of the file's contents, counted from 0, after decompression.
  static FileError at_byte(const std::filesystem::path& file, std::int64_t byte, const std::string& what) {
    return FileError(file, "byte " + std::to_string(byte) + ": " + what);
  }
};

}  // namespace train
