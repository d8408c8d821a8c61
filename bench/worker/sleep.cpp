#include "sleep.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>

namespace bench {
namespace {

/// The letter after the name, which is in brackets and may itself contain brackets; see proc(5).
bool runs(const std::filesystem::path& thread) {
  std::ifstream stream(thread / "stat");
  std::string stat;
  std::getline(stream, stat);
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && name_end + 2 < stat.size() && stat[name_end + 2] == 'R';
}

bool any_other_runs() {
  const std::string self = std::to_string(gettid());
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() != self && runs(thread.path())) return true;
  }
  return false;
}

}  // namespace

void wait_until_others_sleep() {
  constexpr int polls_in_a_row = 3;
  constexpr std::chrono::microseconds between_polls{200};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (int asleep = 0; asleep < polls_in_a_row;) {
    asleep = any_other_runs() ? 0 : asleep + 1;
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("idle threads still run after five seconds: is OMP_WAIT_POLICY=active set?");
    }
    if (asleep < polls_in_a_row) std::this_thread::sleep_for(between_polls);
  }
}

}  // namespace bench
