// Tensors whose offsets or counts do not fit in 32 bits, in address space of which little is ever backed by memory.

#include <cstdint>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"

namespace xbn::test {
namespace {

constexpr std::int64_t kTwoTo31 = std::int64_t{1} << 31;
constexpr std::int64_t kTwoTo32 = std::int64_t{1} << 32;

/// Zeros until they are written; pages that are only read share one of zeros.
class SparseMemory {
 public:
  explicit SparseMemory(std::int64_t floats) : bytes_(static_cast<std::size_t>(floats) * sizeof(float)) {
    mapping_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~SparseMemory() {
    if (exists()) munmap(mapping_, bytes_);
  }
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;

  bool exists() const { return mapping_ != MAP_FAILED; }
  void read_in_large_pages() const { madvise(mapping_, bytes_, MADV_HUGEPAGE); }
  float* data() const { return static_cast<float*>(mapping_); }

 private:
  std::size_t bytes_;
  void* mapping_;
};

constexpr const char* kNoAddressSpace = "the system does not give so much address space";

/// A tensor whose neighbours along some dimension lie more than 2^32 elements apart.
struct FarApart {
  Layout layout;
  Shape shape;
  Strides strides;

  std::int64_t extent() const {
    return offset_of(layout, strides, shape.batch - 1, shape.channels - 1, shape.spatial - 1) + 64;
  }

  template <typename Visit>
  void for_each_element(Visit visit) const {
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < shape.batch; ++n) {
      for (std::int64_t c = 0; c < shape.channels; ++c) {
        for (std::int64_t s = 0; s < shape.spatial; ++s) visit(offset_of(layout, strides, n, c, s), i++);
      }
    }
  }

  void fill(float* tensor, const Values& values) const {
    for_each_element([&](std::int64_t offset, std::int64_t i) { tensor[offset] = values[i]; });
  }

  Values gather(const float* tensor) const {
    Values values(shape.elements());
    for_each_element([&](std::int64_t offset, std::int64_t i) { values[i] = tensor[offset]; });
    return values;
  }
};

std::vector<FarApart> far_apart() {
  const std::int64_t far = kTwoTo32 + 48;
  return {
      {Layout::nc, {3, 37, 1}, {far, 0, 0}},
      {Layout::ncx, {3, 5, 40}, {far, 40, 0}},
      {Layout::ncx, {1, 3, 40}, {3 * far, far, 0}},
      {Layout::nxc, {3, 37, 5}, {far, 0, 37}},
      {Layout::nxc, {1, 3, 3}, {3 * far, 0, far}},
      {Layout::nCx8c, {3, 12, 5}, {far, 40, 8}},
      {Layout::nCx8c, {1, 12, 5}, {2 * far, far, 8}},
      {Layout::nCx16c, {3, 37, 5}, {far, 80, 16}},
      {Layout::nCx16c, {1, 16, 3}, {3 * far, 3 * far, far}},
  };
}

std::string describe(const FarApart& tensor) {
  return std::string(name(tensor.layout)) + " batch " + std::to_string(tensor.strides.batch) + " channel " +
         std::to_string(tensor.strides.channel) + " position " + std::to_string(tensor.strides.position);
}

class OffsetsTest : public EveryIsa {};

TEST_P(OffsetsTest, Beyond32Bits) {
  for (const FarApart& tensor : far_apart()) {
    SCOPED_TRACE(describe(tensor));
    const SparseMemory x(tensor.extent()), dy(tensor.extent()), result(tensor.extent());
    if (!x.exists() || !dy.exists() || !result.exists()) GTEST_SKIP() << kNoAddressSpace;

    const Values x_values = generate(Data::normal, tensor.shape);
    const Parameters parameters = random_parameters(tensor.shape.channels);
    const BatchNorm object(problem_of(tensor.layout, tensor.shape));
    const Trained near = train(object, x_values, parameters);
    BackwardInputs inputs;
    inputs.x = x_values;
    inputs.dy = correlated_gradients(tensor.shape, x_values);
    inputs.gamma = parameters.gamma;
    inputs.mean = near.mean;
    inputs.variance = near.variance;
    const Gradients near_gradients = differentiate(object, inputs);

    tensor.fill(x.data(), x_values);
    tensor.fill(dy.data(), inputs.dy);
    Values mean(tensor.shape.channels), variance(tensor.shape.channels);
    ForwardTraining training;
    training.x = {x.data(), tensor.strides};
    training.y = {result.data(), tensor.strides, false};
    training.gamma = parameters.gamma.data();
    training.beta = parameters.beta.data();
    training.mean = mean.data();
    training.variance = variance.data();
    object.forward_training(training);
    EXPECT_TRUE(same_bits(mean, near.mean)) << "mean";
    EXPECT_TRUE(same_bits(variance, near.variance)) << "variance";
    EXPECT_TRUE(same_bits(tensor.gather(result.data()), near.y)) << "y";

    Values dgamma(tensor.shape.channels), dbeta(tensor.shape.channels);
    object.backward({Statistics::batch,
                     {x.data(), tensor.strides},
                     {dy.data(), tensor.strides},
                     parameters.gamma.data(),
                     mean.data(),
                     variance.data(),
                     {result.data(), tensor.strides, false},
                     dgamma.data(),
                     dbeta.data(),
                     {}});
    EXPECT_TRUE(same_bits(dgamma, near_gradients.dgamma)) << "dgamma";
    EXPECT_TRUE(same_bits(dbeta, near_gradients.dbeta)) << "dbeta";
    EXPECT_TRUE(same_bits(tensor.gather(result.data()), near_gradients.dx)) << "dx";
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, OffsetsTest, testing::ValuesIn(compiled_isas()), isa_name);

/// Zeros, and a 1 at the last element of each channel: with count n, mean 1 / n and variance (n - 1) / n^2.
void check_sums_of_zeros(Layout layout, const Shape& shape) {
  const SparseMemory x(shape.elements());
  if (!x.exists()) GTEST_SKIP() << kNoAddressSpace;
  x.read_in_large_pages();
  const Strides strides = strides_of(layout, shape, Pitch::dense);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    x.data()[offset_of(layout, strides, shape.batch - 1, c, shape.spatial - 1)] = 1;
  }

  const BatchNorm object(problem_of(layout, shape));
  Doubles mean(shape.channels), m2(shape.channels);
  Moments moments{0, mean.data(), m2.data()};
  object.moments({x.data(), &moments, {}});
  EXPECT_EQ(moments.count, shape.count());
  const auto count = static_cast<double>(shape.count());

  const Values saved_mean(shape.channels, 0);
  Doubles dy_sum(shape.channels), product_sum(shape.channels), x_sum(shape.channels);
  GradientSums sums{0, dy_sum.data(), product_sum.data(), x_sum.data()};
  object.gradient_sums({x.data(), x.data(), saved_mean.data(), &sums, {}});
  EXPECT_EQ(sums.count, shape.count());
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    EXPECT_NEAR(mean[c] * count, 1, 1e-6);
    EXPECT_NEAR(m2[c], (count - 1) / count, 1e-6);
    EXPECT_EQ(dy_sum[c], 1);
    EXPECT_EQ(product_sum[c], 1);
    EXPECT_EQ(x_sum[c], 1);
  }
}

TEST(CountsTest, OnePlaneOfMoreThanTwoTo31Elements) { check_sums_of_zeros(Layout::ncx, {1, 1, kTwoTo31 + 5}); }
TEST(CountsTest, RowsOfMoreThanTwoTo31Elements) { check_sums_of_zeros(Layout::nxc, {3, 17, kTwoTo31 / 17 / 3 + 5}); }
TEST(CountsTest, BlocksOfMoreThanTwoTo31Elements) { check_sums_of_zeros(Layout::nCx16c, {1, 16, kTwoTo31 / 16 + 5}); }

}  // namespace
}  // namespace xbn::test
