#pragma once

#include <chrono>
#include <string>

namespace bench {

/// One line on standard error with what is being done and the time left, where that is a terminal; else nothing.
class Progress {
 public:
  /// `total_work` is in units of the caller's.
  explicit Progress(double total_work);
  ~Progress();

  void show(double work_done, const std::string& what);
  /// Makes room for a line of output.
  void clear();

 private:
  bool terminal_;
  double total_work_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace bench
