#include "onednn_builds.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace bench {
namespace {

/// From the list that CMake writes beside the executables.
std::vector<OneDnnBuild> built_onednns() {
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::ifstream list(folder / "onednn.json");
  std::vector<OneDnnBuild> builds;
  if (!list) return builds;
  for (const nlohmann::json& entry : nlohmann::json::parse(list)) {
    builds.push_back({entry.at("name").get<std::string>(), entry.at("prefix").get<std::string>(),
                      folder / entry.at("worker").get<std::string>()});
  }
  return builds;
}

bool same_folder(const std::filesystem::path& a, const std::filesystem::path& b) {
  return !a.empty() && std::filesystem::weakly_canonical(a) == std::filesystem::weakly_canonical(b);
}

const OneDnnBuild* find(const std::vector<OneDnnBuild>& builds, const std::string& name_or_prefix) {
  const auto match = std::find_if(builds.begin(), builds.end(), [&](const OneDnnBuild& build) {
    return build.name == name_or_prefix || same_folder(build.prefix, name_or_prefix);
  });
  return match != builds.end() ? &*match : nullptr;
}

std::string names(const std::vector<OneDnnBuild>& builds) {
  std::string list;
  for (const OneDnnBuild& build : builds) list += (list.empty() ? "" : ", ") + build.name;
  return list;
}

OneDnnChoice default_choice(const std::vector<OneDnnBuild>& builds) {
  OneDnnChoice choice;
  std::string missing;
  for (const char* name : {"tbb", "gomp"}) {
    if (const OneDnnBuild* build = find(builds, name)) {
      choice.builds.push_back(*build);
    } else {
      missing += (missing.empty() ? "" : " and ") + std::string(name);
    }
  }
  if (missing.empty()) return choice;
  if (choice.builds.empty()) {
    const OneDnnBuild* const system = find(builds, "system");
    choice.builds.push_back(system != nullptr ? *system : builds.front());
  }
  choice.notice =
      "NOTE: compared with oneDNN " + names(choice.builds) + " only; " + missing + " (of PyPI) are not in this build.";
  return choice;
}

}  // namespace

OneDnnChoice choose_onednn(const std::vector<std::string>& wanted) {
  const std::vector<OneDnnBuild> builds = built_onednns();
  if (builds.empty()) {
    throw std::runtime_error(
        "no oneDNN to compare with: install libdnnl-dev, or give CMake XBN_ONEDNN_PREFIXES=NAME=PREFIX, then configure "
        "and build again");
  }
  if (wanted.empty()) return default_choice(builds);
  OneDnnChoice choice;
  for (const std::string& name : wanted) {
    const OneDnnBuild* const build = find(builds, name);
    if (build == nullptr) {
      throw std::invalid_argument("--onednn: must be of " + names(builds) +
                                  ", or a prefix given to CMake in XBN_ONEDNN_PREFIXES; was \"" + name + '"');
    }
    choice.builds.push_back(*build);
  }
  return choice;
}

}  // namespace bench
