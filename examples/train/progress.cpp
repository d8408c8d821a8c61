#include "progress.hpp"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace train {
namespace {

std::string minutes(double seconds) {
  char text[32];
  const auto whole = static_cast<long>(seconds + 0.5);
  std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

}  // namespace

Progress::Progress(double total)
    : terminal_(isatty(STDERR_FILENO) == 1), total_(total), start_(std::chrono::steady_clock::now()), shown_(start_) {}

Progress::~Progress() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::begin_stage(const std::string& what, double weight) {
  const std::lock_guard lock(mutex_);
  what_ = what;
  weight_ = weight;
  part_ = 0;
  show(true);
}

void Progress::advance(double part) {
  const std::lock_guard lock(mutex_);
  part_ = std::min(1.0, part_ + part);
  show(false);
}

void Progress::end_stage() {
  const std::lock_guard lock(mutex_);
  done_before_ += weight_;
  weight_ = 0;
}

void Progress::show(bool now) {
  using Seconds = std::chrono::duration<double>;
  constexpr int bar_width = 30;
  const auto time = std::chrono::steady_clock::now();
  if (!now && Seconds(time - shown_).count() < (terminal_ ? 0.1 : 10.0)) return;
  shown_ = time;
  const double done = (done_before_ + weight_ * part_) / total_;
  const double elapsed = Seconds(time - start_).count();
  const std::string left = done > 0 ? minutes(elapsed / done * (1 - done)) + " left" : "starting";
  if (terminal_) {
    std::string bar(bar_width, ' ');
    std::fill_n(bar.begin(), static_cast<int>(done * bar_width), '#');
    std::fprintf(stderr, "\r\033[K[%s] %3.0f %%  %s  %s", bar.c_str(), 100 * done, left.c_str(), what_.c_str());
  } else {
    std::fprintf(stderr, "%3.0f %%  %s  %s\n", 100 * done, left.c_str(), what_.c_str());
  }
  std::fflush(stderr);
}

}  // namespace train
