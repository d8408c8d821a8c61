// xbn against oneDNN's batch-normalization primitive. Compiles with oneDNN 2.6 and later, and with 3.x.

#include <algorithm>
#include <gtest/gtest.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

using dnnl::memory;
using dnnl::normalization_flags;
using dnnl::prop_kind;
using BatchNormForward = dnnl::batch_normalization_forward;
using BatchNormBackward = dnnl::batch_normalization_backward;

constexpr double kEpsilon = 0.0625;

memory::format_tag tag_of(Layout layout) {
  switch (layout) {
    case Layout::nc:
      return memory::format_tag::ab;
    case Layout::ncx:
      return memory::format_tag::abc;
    case Layout::nxc:
      return memory::format_tag::acb;
    case Layout::nCx8c:
      return memory::format_tag::aBc8b;
    case Layout::nCx16c:
      return memory::format_tag::aBc16b;
  }
  return memory::format_tag::undef;
}

/// oneDNN on tensors of one shape and layout. Fills its own, padded with zeros as it wants them.
class OneDnn {
 public:
  OneDnn(Layout layout, const Shape& shape)
      : layout_(layout), shape_(shape), strides_(strides_of(layout, shape, Pitch::dense)) {
    memory::dims sizes{shape.batch, shape.channels};
    if (layout != Layout::nc) sizes.push_back(shape.spatial);
    tensor_ = memory::desc(sizes, memory::data_type::f32, tag_of(layout));
    channels_ = memory::desc({shape.channels}, memory::data_type::f32, memory::format_tag::a);
  }

  Trained train(const Values& x, const Parameters& parameters) {
    const auto forward = forward_descriptor(prop_kind::forward_training,
                                            normalization_flags::use_scale | normalization_flags::use_shift);
    memory x_memory = tensor_of(x), y(tensor_, engine_), mean(channels_, engine_), variance(channels_, engine_);
    run(BatchNormForward(forward), {{DNNL_ARG_SRC, x_memory},
                                    {DNNL_ARG_DST, y},
                                    {DNNL_ARG_MEAN, mean},
                                    {DNNL_ARG_VARIANCE, variance},
                                    {DNNL_ARG_SCALE, per_channel_of(parameters.gamma)},
                                    {DNNL_ARG_SHIFT, per_channel_of(parameters.beta)}});
    return {values_of(y), per_channel_values(mean), per_channel_values(variance)};
  }

  Values infer(const Values& x, const Parameters& parameters, const Values& mean, const Values& variance) {
    const auto forward = forward_descriptor(prop_kind::forward_inference, normalization_flags::use_scale |
                                                                              normalization_flags::use_shift |
                                                                              normalization_flags::use_global_stats);
    memory x_memory = tensor_of(x), y(tensor_, engine_);
    run(BatchNormForward(forward), {{DNNL_ARG_SRC, x_memory},
                                    {DNNL_ARG_DST, y},
                                    {DNNL_ARG_MEAN, per_channel_of(mean)},
                                    {DNNL_ARG_VARIANCE, per_channel_of(variance)},
                                    {DNNL_ARG_SCALE, per_channel_of(parameters.gamma)},
                                    {DNNL_ARG_SHIFT, per_channel_of(parameters.beta)}});
    return values_of(y);
  }

  Gradients differentiate(const BackwardInputs& inputs) {
    auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
    if (inputs.statistics == Statistics::given) flags = flags | normalization_flags::use_global_stats;
    memory dx(tensor_, engine_), dgamma(channels_, engine_), dbeta(channels_, engine_);
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, tensor_of(inputs.x)},
                                              {DNNL_ARG_DIFF_DST, tensor_of(inputs.dy)},
                                              {DNNL_ARG_MEAN, per_channel_of(inputs.mean)},
                                              {DNNL_ARG_VARIANCE, per_channel_of(inputs.variance)},
                                              {DNNL_ARG_SCALE, per_channel_of(inputs.gamma)},
                                              {DNNL_ARG_DIFF_SRC, dx},
                                              {DNNL_ARG_DIFF_SCALE, dgamma},
                                              {DNNL_ARG_DIFF_SHIFT, dbeta}};
    if (kBackwardTakesShift) arguments.emplace(DNNL_ARG_SHIFT, per_channel_of(Values(shape_.channels, 0)));
    run(BatchNormBackward(backward_descriptor(flags)), arguments);
    return {values_of(dx), per_channel_values(dgamma), per_channel_values(dbeta)};
  }

 private:
#if DNNL_VERSION_MAJOR >= 3
  static constexpr bool kBackwardTakesShift = false;

  BatchNormForward::primitive_desc forward_descriptor(prop_kind kind, normalization_flags flags) const {
    return {engine_, kind, tensor_, tensor_, kEpsilonOfOneDnn, flags};
  }
  BatchNormBackward::primitive_desc backward_descriptor(normalization_flags flags) const {
    return {engine_, prop_kind::backward, tensor_, tensor_,
            tensor_, kEpsilonOfOneDnn,    flags,   forward_descriptor(prop_kind::forward_training, flags)};
  }
#else
  static constexpr bool kBackwardTakesShift = true;

  BatchNormForward::primitive_desc forward_descriptor(prop_kind kind, normalization_flags flags) const {
    return {{kind, tensor_, kEpsilonOfOneDnn, flags}, engine_};
  }
  BatchNormBackward::primitive_desc backward_descriptor(normalization_flags flags) const {
    return {{prop_kind::backward, tensor_, tensor_, kEpsilonOfOneDnn, flags},
            engine_,
            forward_descriptor(prop_kind::forward_training, flags)};
  }
#endif

  void run(const dnnl::primitive& primitive, const std::unordered_map<int, memory>& arguments) {
    primitive.execute(stream_, arguments);
    stream_.wait();
  }

  memory tensor_of(const Values& values) const {
    memory result(tensor_, engine_);
    auto* data = static_cast<float*>(result.get_data_handle());
    std::fill_n(data, tensor_.get_size() / sizeof(float), 0.0f);
    for_each_element([&](std::int64_t offset, std::int64_t i) { data[offset] = values[i]; });
    return result;
  }

  Values values_of(const memory& tensor) const {
    const auto* data = static_cast<const float*>(tensor.get_data_handle());
    Values values(shape_.elements());
    for_each_element([&](std::int64_t offset, std::int64_t i) { values[i] = data[offset]; });
    return values;
  }

  memory per_channel_of(const Values& values) const {
    memory result(channels_, engine_);
    std::copy(values.begin(), values.end(), static_cast<float*>(result.get_data_handle()));
    return result;
  }

  Values per_channel_values(const memory& values) const {
    const auto* data = static_cast<const float*>(values.get_data_handle());
    return {data, data + shape_.channels};
  }

  template <typename Visit>
  void for_each_element(Visit visit) const {
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < shape_.batch; ++n) {
      for (std::int64_t c = 0; c < shape_.channels; ++c) {
        for (std::int64_t s = 0; s < shape_.spatial; ++s) visit(offset_of(layout_, strides_, n, c, s), i++);
      }
    }
  }

  static constexpr float kEpsilonOfOneDnn = static_cast<float>(kEpsilon);

  Layout layout_;
  Shape shape_;
  Strides strides_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  memory::desc tensor_, channels_;
};

/// How far apart the two libraries may be, in ulp of the contract's scales. On exact data both err in the last steps
/// only; on random data oneDNN's plain sums in float are off by hundreds.
struct Distance {
  double statistics;
  double results;
};

Distance allowed(Data data) { return data == Data::exact ? Distance{2, 8} : Distance{1000, 1000}; }

/// oneDNN's values with the scales of the reference.
Expected as_expected(const Values& onednn, const Expected& reference) { return {widened(onednn), reference.scale}; }

std::vector<Shape> shapes() {
  std::vector<Shape> all{{2, 64, 784}, {3, 65, 49}, {1, 257, 196}, {16, 128, 10}, {2, 16, 12544}, {64, 256, 1}};
  for (const Shape& shape : few_shapes()) all.push_back(shape);
  for (const std::int64_t channels : {1, 3, 8, 16, 23}) {
    all.push_back({3, channels, 1});
    all.push_back({2, channels, 27});
  }
  return all;
}

class OneDnnTest : public EveryIsa {
 protected:
  template <typename Check>
  static void for_each_case(Check check) {
    for (const Shape& shape : shapes()) {
      for (const Data data : {Data::exact, Data::normal}) {
        for (const Layout layout : layouts_of(shape)) {
          SCOPED_TRACE(to_string(shape) + " " + name(data) + " " + std::string(name(layout)));
          check(layout, shape, data);
        }
      }
    }
  }
};

TEST_P(OneDnnTest, ForwardTraining) {
  for_each_case([](Layout layout, const Shape& shape, Data data) {
    const Values x = generate(data, shape);
    const Parameters parameters = random_parameters(shape.channels);
    const ChannelStatistics batch = batch_statistics(shape, widened(x));
    const Epsilon epsilon{kEpsilon};
    const Trained theirs = OneDnn(layout, shape).train(x, parameters);
    const Trained ours = train(BatchNorm(problem_of(layout, shape, epsilon)), x, parameters);
    const Distance distance = allowed(data);
    EXPECT_TRUE(within_ulp(distance.statistics, ours.mean, as_expected(theirs.mean, expected_mean(batch)))) << "mean";
    EXPECT_TRUE(within_ulp(distance.statistics, ours.variance, as_expected(theirs.variance, expected_variance(batch))))
        << "variance";
    const Expected y = normalised_by_batch(shape, widened(x), batch, parameters, epsilon);
    EXPECT_TRUE(within_ulp(distance.results, ours.y, as_expected(theirs.y, y))) << "y";
  });
}

TEST_P(OneDnnTest, ForwardInference) {
  for_each_case([](Layout layout, const Shape& shape, Data data) {
    const Values x = generate(data, shape);
    const Parameters parameters = random_parameters(shape.channels);
    const Values mean = per_channel(shape.channels, -1, 1, 5), variance = per_channel(shape.channels, 0.5, 2, 6);
    const Epsilon epsilon{kEpsilon};
    const Values theirs = OneDnn(layout, shape).infer(x, parameters, mean, variance);
    const Values ours = infer(BatchNorm(problem_of(layout, shape, epsilon)), x, parameters, mean, variance);
    const Expected y = normalised(shape, widened(x), {widened(mean), widened(variance)}, parameters, epsilon);
    EXPECT_TRUE(within_ulp(allowed(Data::exact).results, ours, as_expected(theirs, y)));
  });
}

TEST_P(OneDnnTest, Backward) {
  for_each_case([](Layout layout, const Shape& shape, Data data) {
    BackwardInputs inputs;
    inputs.x = generate(data, shape);
    inputs.dy = data == Data::exact ? exact_gradients(shape) : correlated_gradients(shape, inputs.x);
    inputs.gamma = random_parameters(shape.channels).gamma;
    const ChannelStatistics batch = batch_statistics(shape, widened(inputs.x));
    inputs.mean.assign(batch.mean.begin(), batch.mean.end());
    inputs.variance.assign(batch.variance.begin(), batch.variance.end());
    const Epsilon epsilon{kEpsilon};
    for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
      SCOPED_TRACE(statistics == Statistics::batch ? "batch" : "given");
      inputs.statistics = statistics;
      const Gradients theirs = OneDnn(layout, shape).differentiate(inputs);
      const Gradients ours = differentiate(BatchNorm(problem_of(layout, shape, epsilon)), inputs);
      const ExpectedGradients expected = gradients(shape, statistics, widened(inputs.x), widened(inputs.dy),
                                                   inputs.gamma, {batch.mean, widened(inputs.variance)}, epsilon);
      const double distance = allowed(data).results;
      EXPECT_TRUE(within_ulp(distance, ours.dx, as_expected(theirs.dx, expected.dx))) << "dx";
      EXPECT_TRUE(within_ulp(distance, ours.dgamma, as_expected(theirs.dgamma, expected.dgamma))) << "dgamma";
      EXPECT_TRUE(within_ulp(distance, ours.dbeta, as_expected(theirs.dbeta, expected.dbeta))) << "dbeta";
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, OneDnnTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
