#pragma once

namespace bench {

/// What is measured: set up for one case on one set of tensors, and then run any number of times.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual void run() = 0;
};

}  // namespace bench
