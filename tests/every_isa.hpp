#pragma once

// Fixture of the tests that run on every instruction set.

#include <gtest/gtest.h>
#include <ostream>
#include <string>

#include "xbn/isa.hpp"

namespace xbn {

/// GoogleTest prints parameters with it.
void PrintTo(Isa isa, std::ostream* stream);

namespace test {

bool is_supported(Isa isa);

/// Objects made while it lives use this instruction set.
class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa) { force_isa(isa); }
  ~ForcedIsa() { force_isa(std::nullopt); }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;
};

/// A test of it runs once an instruction set that is compiled in, and is skipped where the processor lacks it.
class EveryIsa : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override;
  void TearDown() override { force_isa(std::nullopt); }
};

std::string isa_name(const testing::TestParamInfo<Isa>& info);

}  // namespace test
}  // namespace xbn
