#include "worker_process.hpp"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <stdexcept>
#include <string_view>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace bench {
namespace {

void throw_if(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

/// The environment with the number of oneDNN's OpenMP threads, which must be set before they start.
std::vector<std::string> environment_with_threads(int threads) {
  constexpr std::string_view variable = "OMP_NUM_THREADS=";
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with(variable)) environment.emplace_back(*entry);
  }
  environment.push_back(std::string(variable) + std::to_string(threads));
  return environment;
}

}  // namespace

WorkerProcess::WorkerProcess(const OneDnnBuild& build, const WorkerSettings& settings) : name_(build.name) {
  start(build, settings.threads);
  try {
    const nlohmann::json hello =
        ask({{"threads", settings.threads}, {"isa", settings.isa}, {"repetitions", settings.repetitions}});
    if (hello.contains("error")) throw std::runtime_error(name_ + ": " + hello.at("error").get<std::string>());
    version_ = hello.at("onednn").get<std::string>();
    isa_ = hello.at("isa").get<std::string>();
  } catch (...) {
    close();
    throw;
  }
}

WorkerProcess::~WorkerProcess() { close(); }

void WorkerProcess::start(const OneDnnBuild& build, int threads) {
  int to_worker[2], from_worker[2];
  throw_if(pipe2(to_worker, O_CLOEXEC) != 0 ? errno : 0, "pipe");
  throw_if(pipe2(from_worker, O_CLOEXEC) != 0 ? errno : 0, "pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_worker[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_worker[1], STDOUT_FILENO);

  std::string path = build.worker.string();
  char* const arguments[] = {path.data(), nullptr};
  std::vector<std::string> environment = environment_with_threads(threads);
  std::vector<char*> entries;
  for (std::string& entry : environment) entries.push_back(entry.data());
  entries.push_back(nullptr);
  const int error = posix_spawn(&process_, path.c_str(), &actions, nullptr, arguments, entries.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(to_worker[0]);
  ::close(from_worker[1]);
  requests_ = fdopen(to_worker[1], "w");
  answers_ = fdopen(from_worker[0], "r");
  if (error != 0) process_ = -1;
  throw_if(error, path);
}

nlohmann::json WorkerProcess::ask(const nlohmann::json& request) {
  const std::string line = request.dump() + '\n';
  std::fputs(line.c_str(), requests_);
  std::fflush(requests_);
  char* answer = nullptr;
  std::size_t capacity = 0;
  const bool answered = getline(&answer, &capacity, answers_) > 0;
  const std::string text = answered ? answer : "";
  std::free(answer);
  if (!answered) report_end();
  return nlohmann::json::parse(text);
}

void WorkerProcess::report_end() {
  int status = 0;
  waitpid(process_, &status, 0);
  process_ = -1;
  throw std::runtime_error("the worker for oneDNN " + name_ + " ended: " +
                           (WIFSIGNALED(status) ? std::string(strsignal(WTERMSIG(status)))
                                                : "exit code " + std::to_string(WEXITSTATUS(status))));
}

void WorkerProcess::close() {
  if (requests_ != nullptr) std::fclose(requests_);
  if (answers_ != nullptr) std::fclose(answers_);
  requests_ = answers_ = nullptr;
  if (process_ > 0) waitpid(process_, nullptr, 0);
  process_ = -1;
}

}  // namespace bench
