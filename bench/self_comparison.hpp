#pragma once

/// What programs that time xbn against itself have in common: their knobs, and the cases these stand for.

#include <functional>
#include <string>
#include <vector>

#include "cases.hpp"

namespace CLI {
class App;
}

namespace bench {

struct SelfComparison {
  std::vector<std::string> problems;  ///< descriptors
  std::string dir;
  std::string tag;
  int repetitions;
  int threads = all_threads();

  static int all_threads();

  /// Options that write to this object, which must outlive the parsing; what it holds is their default.
  void add_options(CLI::App& app);

  /// The plain cases, problem by problem: gamma and beta, and in inference given statistics. Throws ParseError.
  std::vector<Case> cases() const;

  /// Runs the body where that many threads are used.
  void on_threads(const std::function<void()>& body) const;
};

}  // namespace bench
