#include "xbn/isa.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "refusal.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn {
namespace {

using test::message_of;

constexpr auto no_isa = static_cast<Isa>(99);

/// Sets XBN_MAX_ISA, or with null removes it, and gives back what it was.
class Limit {
 public:
  explicit Limit(const char* value) {
    if (const char* before = std::getenv("XBN_MAX_ISA")) before_ = before;
    set(value);
  }
  ~Limit() { set(before_ ? before_->c_str() : nullptr); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  static void set(const char* value) {
    if (value != nullptr) {
      setenv("XBN_MAX_ISA", value, 1);
    } else {
      unsetenv("XBN_MAX_ISA");
    }
  }

  std::optional<std::string> before_;
};

class IsaTest : public testing::Test {
 protected:
  void SetUp() override { force_isa(std::nullopt); }
  void TearDown() override { force_isa(std::nullopt); }
};

bool is_supported(Isa isa) {
  const std::vector<Isa> supported = supported_isas();
  return std::find(supported.begin(), supported.end(), isa) != supported.end();
}

std::optional<Isa> unsupported_isa() {
  for (const Isa isa : compiled_isas()) {
    if (!is_supported(isa)) return isa;
  }
  return std::nullopt;
}

Isa isa_of_new_object() { return BatchNorm({Layout::nc, 1, 1, 1}).isa(); }

TEST_F(IsaTest, EachHasANameThatLeadsBack) {
  EXPECT_EQ(name(Isa::sse2), "sse2");
  EXPECT_EQ(name(Isa::avx2), "avx2");
  EXPECT_EQ(name(Isa::avx512), "avx512");
  for (const Isa isa : compiled_isas()) EXPECT_EQ(isa_from_name(name(isa)), isa);
}

TEST_F(IsaTest, OtherNamesAreRefused) {
  EXPECT_EQ(message_of([] { isa_from_name("AVX2"); }), "isa_name must be one of sse2, avx2, avx512, was \"AVX2\"");
  EXPECT_EQ(message_of([] { isa_from_name(""); }), "isa_name must be one of sse2, avx2, avx512, was \"\"");
  EXPECT_EQ(message_of([] { name(no_isa); }), "isa must be one of sse2, avx2, avx512, was 99");
}

TEST_F(IsaTest, AllAreCompiledInOldestFirst) {
  EXPECT_EQ(compiled_isas(), (std::vector<Isa>{Isa::sse2, Isa::avx2, Isa::avx512}));
}

TEST_F(IsaTest, TheBaselineIsSupportedAndANewerOneImpliesTheOlder) {
  const std::vector<Isa> compiled = compiled_isas();
  const std::vector<Isa> supported = supported_isas();
  ASSERT_FALSE(supported.empty());
  ASSERT_LE(supported.size(), compiled.size());
  EXPECT_TRUE(std::equal(supported.begin(), supported.end(), compiled.begin()));
}

// The compiler's own detection, of what it knows.
TEST_F(IsaTest, DetectionAgreesWithTheCompilers) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  EXPECT_EQ(is_supported(Isa::avx2), avx2);
  EXPECT_EQ(is_supported(Isa::avx512), avx2 && __builtin_cpu_supports("avx512f") &&
                                           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
}

TEST_F(IsaTest, TheNewestIsCurrent) {
  const Limit none(nullptr);
  EXPECT_EQ(current_isa(), supported_isas().back());
  EXPECT_EQ(isa_of_new_object(), supported_isas().back());
}

TEST_F(IsaTest, TheEnvironmentLimitsIt) {
  for (const Isa isa : supported_isas()) {
    const Limit limit(std::string(name(isa)).c_str());
    EXPECT_EQ(current_isa(), isa);
    EXPECT_EQ(isa_of_new_object(), isa);
  }
}

TEST_F(IsaTest, AnUnknownNameInTheEnvironmentIsAnError) {
  for (const char* value : {"neon", "AVX2", "avx2 ", ""}) {
    const Limit limit(value);
    const std::string message = "XBN_MAX_ISA must be one of sse2, avx2, avx512, was \"" + std::string(value) + "\"";
    EXPECT_EQ(message_of([] { current_isa(); }), message);
    EXPECT_EQ(message_of([] { isa_of_new_object(); }), message);
  }
}

TEST_F(IsaTest, AnUnsupportedNameInTheEnvironmentIsAnError) {
  const std::optional<Isa> unsupported = unsupported_isa();
  if (!unsupported) GTEST_SKIP() << "this machine supports all";
  const Limit limit(std::string(name(*unsupported)).c_str());
  const std::string message = message_of([] { current_isa(); });
  EXPECT_EQ(message.find("XBN_MAX_ISA must be one that this machine supports, of sse2"), 0U) << message;
  EXPECT_NE(message.find(", was " + std::string(name(*unsupported))), std::string::npos) << message;
}

TEST_F(IsaTest, ForcingOverridesTheEnvironment) {
  for (const char* value : {"sse2", "neon"}) {
    const Limit limit(value);
    for (const Isa isa : supported_isas()) {
      force_isa(isa);
      EXPECT_EQ(current_isa(), isa);
      EXPECT_EQ(isa_of_new_object(), isa);
    }
    force_isa(std::nullopt);
  }
  const Limit limit("sse2");
  EXPECT_EQ(current_isa(), Isa::sse2);
}

TEST_F(IsaTest, ForcingLeavesObjectsThatExist) {
  force_isa(Isa::sse2);
  const BatchNorm object({Layout::nc, 1, 1, 1});
  force_isa(supported_isas().back());
  EXPECT_EQ(object.isa(), Isa::sse2);
}

TEST_F(IsaTest, ForcingWhatIsNotSupportedIsAnErrorAndChangesNothing) {
  force_isa(Isa::sse2);
  EXPECT_EQ(message_of([] { force_isa(no_isa); }), "isa must be one of sse2, avx2, avx512, was 99");
  if (const std::optional<Isa> unsupported = unsupported_isa()) {
    const std::string message = message_of([&] { force_isa(unsupported); });
    EXPECT_EQ(message.find("isa must be one that this machine supports, of sse2"), 0U) << message;
  }
  EXPECT_EQ(current_isa(), Isa::sse2);
}

TEST_F(IsaTest, ForcingIsThreadSafe) {
  const std::vector<Isa> supported = supported_isas();
  std::atomic<bool> stop{false};
  std::thread forcing([&] {
    for (int i = 0; i < 10000; ++i) force_isa(supported[static_cast<std::size_t>(i) % supported.size()]);
    stop = true;
  });
  bool always_supported = true;
  while (!stop) always_supported = is_supported(current_isa()) && always_supported;
  forcing.join();
  EXPECT_TRUE(always_supported);
}

}  // namespace
}  // namespace xbn
