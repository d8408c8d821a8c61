#include "results.hpp"

#include <fstream>
#include <stdexcept>

namespace train {

void write_results(const std::filesystem::path& folder, const nlohmann::json& results) {
  const std::filesystem::path file = folder / "results.json";
  const std::filesystem::path unfinished = folder / "results.json.new";
  std::ofstream stream(unfinished);
  stream << results.dump(1) << '\n';
  stream.close();
  if (!stream) throw std::runtime_error("--out: must be a folder that can be written to; was " + folder.string());
  std::filesystem::rename(unfinished, file);
}

std::string processor() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace train
