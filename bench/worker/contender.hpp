#pragma once

#include <cstdint>

namespace bench {

/// What is measured: set up for one case on one set of tensors, and then run any number of times.
class Contender {
 public:
  virtual ~Contender() = default;

  /// Once before run(), in backward with a mask: the forward that writes it, whose y is left in the tensors.
  virtual void write_mask() {}
  virtual void run() = 0;

  /// The mask that run() or write_mask() wrote, as xbn lays it out; null where there is none, or another's.
  virtual const std::uint8_t* mask() const { return nullptr; }
};

}  // namespace bench
