#include <gtest/gtest.h>

#include "bounds.hpp"
#include "calls.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"

namespace xbn::test {
namespace {

Placement over(Destination destination, Pitch pitch, bool owns_padding) {
  return {pitch, pitch, pitch, owns_padding, destination};
}

/// What is written over a source has the bits of what is written elsewhere.
class InPlaceTest : public EveryIsa {
 protected:
  template <typename Check>
  static void for_each_case(Check check) {
    std::vector<Shape> shapes = few_shapes();
    shapes.push_back({2, 16, 6272});
    for (const Shape& shape : shapes) {
      const Values x = generate(Data::normal, shape);
      for (const Layout layout : layouts_of(shape)) {
        // In caches too small for anything, results elsewhere are streamed, and slabs overlap.
        for (const CacheSizes& caches : {CacheSizes{}, CacheSizes{1 << 12, 1 << 14}}) {
          const BatchNorm object(problem_of(layout, shape), {nullptr, caches});
          for (const Pitch pitch : every_pitch()) {
            for (const bool owns_padding : {true, false}) {
              SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)) + " " + name(pitch) +
                           (owns_padding ? " with its padding" : "") + ", caches of " +
                           std::to_string(caches.private_bytes));
              check(object, x, pitch, owns_padding);
            }
          }
        }
      }
    }
  }
};

TEST_P(InPlaceTest, TrainingOverX) {
  for_each_case([](const BatchNorm& object, const Values& x, Pitch pitch, bool owns_padding) {
    const Parameters parameters = random_parameters(object.problem().channels);
    const Trained apart = train(object, x, parameters);
    const Trained in_place = train(object, x, parameters, over(Destination::x, pitch, owns_padding));
    EXPECT_TRUE(same_bits(in_place.y, apart.y)) << "y";
    EXPECT_TRUE(same_bits(in_place.mean, apart.mean)) << "mean";
    EXPECT_TRUE(same_bits(in_place.variance, apart.variance)) << "variance";
  });
}

TEST_P(InPlaceTest, InferenceOverX) {
  for_each_case([](const BatchNorm& object, const Values& x, Pitch pitch, bool owns_padding) {
    const std::int64_t channels = object.problem().channels;
    const Parameters parameters = random_parameters(channels);
    const Values mean = per_channel(channels, -1, 1, 5), variance = per_channel(channels, 0.5, 2, 6);
    const Placement in_place = over(Destination::x, pitch, owns_padding);
    EXPECT_TRUE(same_bits(infer(object, x, parameters, mean, variance, in_place),
                          infer(object, x, parameters, mean, variance)));
  });
}

TEST_P(InPlaceTest, FoldedOverX) {
  for_each_case([](const BatchNorm& object, const Values& x, Pitch pitch, bool owns_padding) {
    const std::int64_t channels = object.problem().channels;
    const Values scale = per_channel(channels, -2, 2, 5), shift = per_channel(channels, -1, 1, 6);
    const Placement in_place = over(Destination::x, pitch, owns_padding);
    for (const Values& mean : {Values{}, per_channel(channels, -1, 1, 7)}) {
      EXPECT_TRUE(same_bits(apply_folded(object, x, mean, scale, shift, in_place),
                            apply_folded(object, x, mean, scale, shift)));
    }
  });
}

TEST_P(InPlaceTest, BackwardOverDyOrX) {
  for_each_case([](const BatchNorm& object, const Values& x, Pitch pitch, bool owns_padding) {
    const std::int64_t channels = object.problem().channels;
    BackwardInputs inputs;
    inputs.x = x;
    inputs.dy = correlated_gradients(shape_of(object), x);
    inputs.gamma = random_parameters(channels).gamma;
    inputs.mean = per_channel(channels, -1, 1, 5);
    inputs.variance = per_channel(channels, 0.5, 2, 6);
    for (const Statistics statistics : {Statistics::batch, Statistics::given}) {
      inputs.statistics = statistics;
      const Gradients apart = differentiate(object, inputs);
      for (const Destination destination : {Destination::dy, Destination::x}) {
        const Gradients in_place = differentiate(object, inputs, over(destination, pitch, owns_padding));
        EXPECT_TRUE(same_bits(in_place.dx, apart.dx)) << "dx";
        EXPECT_TRUE(same_bits(in_place.dgamma, apart.dgamma)) << "dgamma";
        EXPECT_TRUE(same_bits(in_place.dbeta, apart.dbeta)) << "dbeta";
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Isa, InPlaceTest, testing::ValuesIn(compiled_isas()), isa_name);

}  // namespace
}  // namespace xbn::test
