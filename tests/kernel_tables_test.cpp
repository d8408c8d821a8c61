// Tables of one instruction set that differ only in the registers they work in, of which a processor gets one.

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "bounds.hpp"
#include "data.hpp"
#include "every_isa.hpp"
#include "shapes.hpp"
#include "tensor_buffer.hpp"
#include "validate.hpp"
#include "walk.hpp"

namespace xbn::test {
namespace {

using internal::ChannelRange;
using internal::TensorIn;
using internal::Tiling;
using internal::Walk;
using kernels::KernelTable;

struct Sums {
  Doubles dy, dy_x, x;
};

/// Of every tile, group after group of channels.
Sums gradient_sums(const KernelTable& table, const Problem& problem, const CacheSizes& caches, const TensorBuffer& x,
                   const TensorBuffer& dy, const Values& mean, bool with_x) {
  const Tiling tiling = internal::make_tiling(problem);
  const Walk walk(problem, tiling, table, caches);
  const auto tensor = [&](const Input& input) {
    return TensorIn{static_cast<const float*>(input.data), internal::resolve(problem, input.strides)};
  };
  const auto channels = static_cast<std::size_t>(problem.channels);
  const auto tiles = static_cast<std::size_t>(tiling.tiles);
  Sums sums{Doubles(channels * tiles), Doubles(channels * tiles), Doubles(channels * tiles)};
  const std::int64_t group = problem.layout == Layout::ncx ? 16 : 64;
  for (std::int64_t tile = 0; tile < tiling.tiles; ++tile) {
    for (std::int64_t first = 0; first < problem.channels; first += group) {
      const std::int64_t at = tile * problem.channels + first;
      walk.gradient_sums(with_x ? tensor(x.input()) : TensorIn{}, tensor(dy.input()),
                         ChannelRange{first, std::min(group, problem.channels - first)}, tile, mean.data() + first,
                         {sums.dy.data() + at, sums.dy_x.data() + at, sums.x.data() + at});
    }
  }
  return sums;
}

TEST(KernelTables, SumsOfGradientsInHalfRegisters) {
  if (!is_supported(Isa::avx512)) GTEST_SKIP() << "this processor has no AVX-512";
  for (const Shape& shape : {Shape{2, 24, 6272}, {8, 57, 49}, {3, 7, 8195}, {40, 3, 50}, {600, 33, 1}, {64, 128, 1}}) {
    const Values x = generate(Data::normal, shape);
    const Values dy = correlated_gradients(shape, x);
    const Values mean(static_cast<std::size_t>(shape.channels), 0.3F);
    for (const Layout layout : layouts_of(shape)) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name(layout)));
      Problem problem;
      problem.layout = layout;
      problem.batch = shape.batch;
      problem.channels = shape.channels;
      problem.spatial = shape.spatial;
      for (const Pitch pitch : {Pitch::dense, Pitch::slice}) {
        const TensorBuffer x_buffer(layout, shape, pitch, x);
        const TensorBuffer dy_buffer(layout, shape, pitch, dy);
        for (const CacheSizes& caches : {CacheSizes{1, 1}, CacheSizes{1, 1, std::size_t{1} << 31},
                                         CacheSizes{1, 1 << 30}, CacheSizes{1 << 30, 1 << 30}}) {
          for (const bool with_x : {true, false}) {
            const auto sums = [&](const KernelTable& table) {
              return gradient_sums(table, problem, caches, x_buffer, dy_buffer, mean, with_x);
            };
            const Sums whole = sums(kernels::avx512_table);
            const Sums halved = sums(kernels::avx512_halved_table);
            const Sums avx2 = sums(kernels::avx2_table);
            for (const Sums& other : {halved, avx2}) {
              EXPECT_TRUE(same_bits(other.dy, whole.dy));
              EXPECT_TRUE(same_bits(other.dy_x, whole.dy_x));
              EXPECT_TRUE(same_bits(other.x, whole.x));
            }
            EXPECT_NE(whole.dy, Doubles(whole.dy.size()));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace xbn::test
