#pragma once

#include <fstream>
#include <stdexcept>
#include <string>

namespace bench {

/// The file that --json names, emptied; not open where it names none. Throws std::invalid_argument.
inline std::ofstream open_json(const std::string& file) {
  std::ofstream stream;
  if (file.empty()) return stream;
  stream.open(file);
  if (!stream) throw std::invalid_argument("--json: must be a file that can be written; was \"" + file + '"');
  return stream;
}

}  // namespace bench
