#pragma once

/// The front-end's end of a worker: a process of its own for each oneDNN, since two of them may share a soname, that
/// lives through the whole run and sleeps while others measure.

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>

#include "onednn_builds.hpp"

namespace bench {

struct WorkerSettings {
  int threads = 1;
  std::string isa{};  ///< empty: no limit
  int repetitions = 1;
};

class WorkerProcess {
 public:
  /// Throws std::runtime_error where it does not start.
  WorkerProcess(const OneDnnBuild& build, const WorkerSettings& settings);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  /// Waits for the answer, which has a member "error" where the request failed. Throws std::runtime_error where the
  /// worker ended.
  nlohmann::json ask(const nlohmann::json& request);

  const std::string& name() const { return name_; }
  const std::string& version() const { return version_; }
  /// What xbn uses there.
  const std::string& isa() const { return isa_; }

 private:
  void start(const OneDnnBuild& build, int threads);
  [[noreturn]] void report_end();
  void close();

  std::string name_;
  std::string version_{};
  std::string isa_{};
  pid_t process_ = -1;
  std::FILE* requests_ = nullptr;
  std::FILE* answers_ = nullptr;
};

}  // namespace bench
