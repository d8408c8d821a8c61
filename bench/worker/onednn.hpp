#pragma once

/// oneDNN's batch-normalization primitive behind one interface, for its APIs from 2.6 to 3.x.

#include <memory>
#include <stdexcept>
#include <string>

#include <xbn/isa.hpp>

#include "contender.hpp"
#include "tensors.hpp"

namespace bench {

/// Such as "3.2.0 TBB": version and threads.
std::string onednn_version();

/// Limits oneDNN to an instruction set (its SSE4.1 for sse2). Must come before any contender. Throws std::runtime_error
/// where oneDNN refuses.
void limit_onednn_isa(xbn::Isa isa);

/// oneDNN does not have the case.
class Unimplemented : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class OneDnnContender : public Contender {
 public:
  /// Throws Unimplemented, and std::runtime_error where oneDNN reports anything else.
  OneDnnContender(const Case& test_case, const Tensors& tensors);
  ~OneDnnContender() override;
  void write_mask() override;
  void run() override;

  /// The name that oneDNN gives to the implementation that it chose.
  const std::string& implementation() const;

 private:
  struct Primitive;
  std::unique_ptr<Primitive> primitive_;
};

}  // namespace bench
