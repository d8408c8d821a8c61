#pragma once

/// The oneDNN builds that there are workers for, and the choice among them.

#include <filesystem>
#include <string>
#include <vector>

namespace bench {

struct OneDnnBuild {
  std::string name;
  std::filesystem::path prefix;  ///< empty for the system's
  std::filesystem::path worker;  ///< the executable that is linked to it
};

struct OneDnnChoice {
  std::vector<OneDnnBuild> builds{};
  std::string notice{};  ///< where the default could not be had: what is compared with instead
};

/// `wanted` are names or prefixes; empty stands for the default: tbb and gomp, or else system. Throws
/// std::invalid_argument where one of those wanted is not in this build, and std::runtime_error where the build has
/// none.
OneDnnChoice choose_onednn(const std::vector<std::string>& wanted);

}  // namespace bench
