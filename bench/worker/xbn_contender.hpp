#pragma once

#include <memory>
#include <vector>

#include <xbn/xbn.hpp>

#include "contender.hpp"
#include "tensors.hpp"

namespace bench {

/// xbn on a case, through its public API.
class XbnContender : public Contender {
 public:
  XbnContender(const Case& test_case, const Tensors& tensors, const xbn::Options& options = {});
  void write_mask() override { calls_->forward(); }
  void run() override { calls_->run(); }
  const std::uint8_t* mask() const override { return mask_.empty() ? nullptr : mask_.data(); }

 private:
  /// The arguments of its calls, in whose parameters' type they differ.
  struct Calls {
    virtual ~Calls() = default;
    virtual void forward() = 0;
    virtual void run() = 0;
  };
  template <class Real>
  struct CallsOf;

  xbn::BatchNorm batch_norm_;
  std::vector<std::uint8_t> mask_{};
  std::unique_ptr<Calls> calls_;
};

}  // namespace bench
