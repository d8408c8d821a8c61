#include "progress.hpp"

#include <cstdio>
#include <unistd.h>

namespace bench {
namespace {

std::string minutes(double seconds) {
  char text[32];
  const auto whole = static_cast<long>(seconds + 0.5);
  std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

}  // namespace

Progress::Progress(double total_work)
    : terminal_(isatty(STDERR_FILENO) == 1), total_work_(total_work), start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { clear(); }

void Progress::show(double work_done, const std::string& what) {
  if (!terminal_) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  const std::string left =
      work_done > 0 ? minutes(elapsed.count() / work_done * (total_work_ - work_done)) + " left" : "starting";
  std::fprintf(stderr, "\r\033[K%3.0f %%  %s  %s", 100 * work_done / total_work_, left.c_str(), what.c_str());
  std::fflush(stderr);
}

void Progress::clear() {
  if (!terminal_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

}  // namespace bench
