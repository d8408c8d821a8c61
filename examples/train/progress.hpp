#pragma once

#include <chrono>
#include <mutex>
#include <string>

namespace train {

/// What is being done, how much of the whole is done and the time left: on standard error, a bar where that is a
/// terminal, else a line now and then.
class Progress {
 public:
  /// `total` is the sum of the weights of all stages.
  explicit Progress(double total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void begin_stage(const std::string& what, double weight);
  /// Another part of the stage is done; parts add up to 1. From any thread.
  void advance(double part);
  void end_stage();

 private:
  void show(bool now);

  std::mutex mutex_{};
  bool terminal_;
  double total_;
  double done_before_ = 0;
  std::string what_{};
  double weight_ = 0;
  double part_ = 0;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace train
