#pragma once

#include <xbn/xbn.hpp>

#include "contender.hpp"
#include "tensors.hpp"

namespace bench {

/// xbn on a case, through its public API.
class XbnContender : public Contender {
 public:
  XbnContender(const Case& test_case, const Tensors& tensors);
  void run() override;

 private:
  xbn::BatchNorm batch_norm_;
  Case case_;
  xbn::ForwardTraining training_{};
  xbn::ForwardInference inference_{};
  xbn::Backward backward_{};
};

}  // namespace bench
