#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <vector>

#include "every_isa.hpp"
#include "refusal.hpp"
#include "xbn/folding.hpp"

namespace xbn {
namespace {

constexpr std::int64_t channels = 19;
constexpr std::int64_t spatial = 256;

struct Norm {
  std::vector<float> gamma, beta, mean, variance;

  Norm() {
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto of_channel = static_cast<float>(c);
      gamma.push_back(c % 3 == 0 ? -1.25F : 0.5F + 0.1F * of_channel);
      beta.push_back(0.3F * of_channel - 2);
      mean.push_back(of_channel - 9);
      variance.push_back(0.25F + of_channel);
    }
  }
  FoldedSource source() const {
    FoldedSource result;
    result.channels = channels;
    result.gamma = gamma.data();
    result.beta = beta.data();
    result.mean = mean.data();
    result.variance = variance.data();
    return result;
  }
  double operator()(std::int64_t c, double x) const {
    return gamma[c] * (x - mean[c]) / std::sqrt(variance[c] + 1e-5) + beta[c];
  }
};

// Every s8 in every channel, to u8.
class QuantisationTest : public test::EveryIsa {};

TEST_P(QuantisationTest, IntegersStandForWhatBatchNormGives) {
  const Norm norm;
  const Quantisation from{0.05, 3};
  const Quantisation to{0.04, 100};
  std::vector<float> mean(channels), scale(channels), shift(channels);
  fold_quantisation(norm.source(), from, to, mean.data(), scale.data(), shift.data());

  std::vector<std::int8_t> x(channels * spatial);
  std::vector<std::uint8_t> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int8_t>(static_cast<int>(i % spatial) - 128);
  Problem problem{Layout::ncx, 1, channels, spatial};
  problem.source = DataType::s8;
  problem.destination = DataType::u8;
  ForwardFolded args;
  args.x = x.data();
  args.y = y.data();
  args.mean = mean.data();
  args.scale = scale.data();
  args.shift = shift.data();
  BatchNorm(problem).forward_folded(args);

  int within = 0;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t s = 0; s < spatial; ++s) {
      const std::int64_t i = c * spatial + s;
      const double exact = norm(c, from.scale * (x[i] - from.zero_point)) / to.scale + to.zero_point;
      const double clamped = std::fmin(std::fmax(exact, 0), 255);
      // Half an integer, and what three numbers in f32 are off by.
      EXPECT_LE(std::fabs(y[i] - clamped), 0.5 + 1e-4) << "channel " << c << ", integer " << int{x[i]};
      if (exact > 0 && exact < 255) ++within;
    }
  }
  EXPECT_GT(within, channels * spatial / 4);
}

INSTANTIATE_TEST_SUITE_P(Isa, QuantisationTest, testing::ValuesIn(compiled_isas()), test::isa_name);

TEST(Quantisation, DefaultLeavesWhatFoldingGives) {
  const Norm norm;
  std::vector<float> mean(channels), scale(channels), shift(channels);
  fold_quantisation(norm.source(), {}, {}, mean.data(), scale.data(), shift.data());
  std::vector<float> plain_mean(channels), plain_scale(channels), plain_shift(channels);
  fold_mean_scale_shift(norm.source(), plain_mean.data(), plain_scale.data(), plain_shift.data());
  EXPECT_EQ(mean, plain_mean);
  EXPECT_EQ(scale, plain_scale);
  EXPECT_EQ(shift, plain_shift);
}

TEST(Quantisation, ScalesMustBePositive) {
  const Norm norm;
  std::vector<float> mean(channels), scale(channels), shift(channels);
  const auto fold = [&](const Quantisation& from, const Quantisation& to) {
    fold_quantisation(norm.source(), from, to, mean.data(), scale.data(), shift.data());
  };
  EXPECT_EQ(test::message_of([&] { fold({0, 0}, {}); }), "from.scale must be finite and more than 0, was 0");
  EXPECT_EQ(test::message_of([&] { fold({}, {-1, 0}); }), "to.scale must be finite and more than 0, was -1");
}

}  // namespace
}  // namespace xbn
