#pragma once

/// What fusion saves: batch norm, add and ReLU of f32 tensors in a call each.

#include <cstdint>
#include <vector>

#include "worker/xbn_contender.hpp"

namespace bench {

/// Forward: batch norm, then y += residual and y = max(y, 0) in place, in training with a bit an element; backward: the
/// gradient of ReLU from these bits, which is d_residual, then that of batch norm. The loops are vectorised and
/// parallel.
class SeparateCalls : public Contender {
 public:
  /// `test_case` has flag A. Throws std::runtime_error where the processor has no AVX2.
  SeparateCalls(const Case& test_case, const Tensors& tensors);
  void write_mask() override { forward(); }
  void run() override;

 private:
  void forward();

  Case case_;
  Tensors tensors_;
  std::int64_t elements_;
  XbnContender batch_norm_;
  std::vector<std::uint8_t> bits_;
};

}  // namespace bench
