#include "every_isa.hpp"

#include <algorithm>

namespace xbn {

void PrintTo(Isa isa, std::ostream* stream) { *stream << name(isa); }

namespace test {

bool is_supported(Isa isa) {
  const std::vector<Isa> supported = supported_isas();
  return std::find(supported.begin(), supported.end(), isa) != supported.end();
}

void EveryIsa::SetUp() {
  if (!is_supported(GetParam())) GTEST_SKIP() << "this processor lacks " << name(GetParam());
  force_isa(GetParam());
}

std::string isa_name(const testing::TestParamInfo<Isa>& info) { return std::string(name(info.param)); }

}  // namespace test
}  // namespace xbn
