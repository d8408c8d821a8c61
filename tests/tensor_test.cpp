#include "xbn/tensor.hpp"

#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "refusal.hpp"

namespace xbn {
namespace {

using test::message_of;

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();
constexpr Layout every_layout[] = {Layout::nc, Layout::ncx, Layout::nxc, Layout::nCx8c, Layout::nCx16c};
constexpr auto no_layout = static_cast<Layout>(5);

void expect_strides(const Strides& strides, std::int64_t batch, std::int64_t channel, std::int64_t position) {
  EXPECT_EQ(strides.batch, batch);
  EXPECT_EQ(strides.channel, channel);
  EXPECT_EQ(strides.position, position);
}

TEST(Layout, HasTheNameOfItsEnumerator) {
  EXPECT_EQ(name(Layout::nc), "nc");
  EXPECT_EQ(name(Layout::ncx), "ncx");
  EXPECT_EQ(name(Layout::nxc), "nxc");
  EXPECT_EQ(name(Layout::nCx8c), "nCx8c");
  EXPECT_EQ(name(Layout::nCx16c), "nCx16c");
}

TEST(Layout, HasBlocksOnlyWhereTheNameSaysSo) {
  EXPECT_EQ(channel_block(Layout::nc), 1);
  EXPECT_EQ(channel_block(Layout::ncx), 1);
  EXPECT_EQ(channel_block(Layout::nxc), 1);
  EXPECT_EQ(channel_block(Layout::nCx8c), 8);
  EXPECT_EQ(channel_block(Layout::nCx16c), 16);
}

TEST(Layout, IsRefusedWhereItIsNone) {
  const std::string message = "layout must be one of nc, ncx, nxc, nCx8c, nCx16c, was 5";
  EXPECT_EQ(message_of([] { name(no_layout); }), message);
  EXPECT_EQ(message_of([] { channel_block(no_layout); }), message);
  EXPECT_EQ(message_of([] { dense_strides(no_layout, 1, 1, 1); }), message);
  EXPECT_EQ(message_of([] { dense_elements(no_layout, 1, 1, 1); }), message);
}

TEST(DenseStrides, SpellOutTheFreeDistances) {
  expect_strides(dense_strides(Layout::nc, 3, 20, 1), 20, 0, 0);
  expect_strides(dense_strides(Layout::ncx, 3, 20, 7), 140, 7, 0);
  expect_strides(dense_strides(Layout::nxc, 3, 20, 7), 140, 0, 20);
  expect_strides(dense_strides(Layout::nCx8c, 3, 20, 7), 3 * 8 * 7, 8 * 7, 8);
  expect_strides(dense_strides(Layout::nCx16c, 3, 20, 7), 2 * 16 * 7, 16 * 7, 16);
}

TEST(DenseElements, CountThePaddingOfTheLastBlock) {
  EXPECT_EQ(dense_elements(Layout::nc, 3, 20, 1), 60);
  EXPECT_EQ(dense_elements(Layout::ncx, 3, 20, 7), 420);
  EXPECT_EQ(dense_elements(Layout::nxc, 3, 20, 7), 420);
  EXPECT_EQ(dense_elements(Layout::nCx8c, 3, 20, 7), 3 * 24 * 7);
  EXPECT_EQ(dense_elements(Layout::nCx16c, 3, 20, 7), 3 * 32 * 7);
  EXPECT_EQ(dense_elements(Layout::ncx, 0, 20, 7), 0);
  EXPECT_EQ(dense_elements(Layout::nxc, 3, 20, 0), 0);
  EXPECT_EQ(dense_elements(Layout::nCx16c, 3, 0, 7), 0);
}

TEST(DenseElements, ReachTheLargestTensorThatFits) {
  const std::int64_t most = max_int64 / std::int64_t{sizeof(float)};
  EXPECT_EQ(dense_elements(Layout::ncx, most, 1, 1), most);
  EXPECT_EQ(
      message_of([&] { dense_elements(Layout::ncx, most + 1, 1, 1); }),
      "batch * channels * spatial must take at most 2^63 - 1 bytes, was 2305843009213693952 * 1 * 1 in layout ncx");
}

TEST(DenseStrides, RefuseSizesThatOverflowAnywhere) {
  const std::string message = "batch * channels * spatial must take at most 2^63 - 1 bytes";
  for (const Layout layout : {Layout::ncx, Layout::nxc, Layout::nCx8c, Layout::nCx16c}) {
    SCOPED_TRACE(name(layout));
    for (const auto& [batch, channels, spatial] :
         std::vector<std::array<std::int64_t, 3>>{{max_int64, 2, 1},
                                                  {2, max_int64, 1},
                                                  {2, 1, max_int64},
                                                  {1, 1, max_int64},
                                                  {1, std::int64_t{1} << 32, std::int64_t{1} << 32},
                                                  {0, std::int64_t{1} << 40, std::int64_t{1} << 40}}) {
      const auto call = [&, b = batch, c = channels, s = spatial] { dense_strides(layout, b, c, s); };
      EXPECT_EQ(message_of(call).substr(0, message.size()), message);
    }
  }
}

TEST(DenseStrides, RefuseNegativeSizes) {
  for (const Layout layout : every_layout) {
    EXPECT_EQ(message_of([&] { dense_strides(layout, -1, 2, 1); }), "batch must be at least 0, was -1");
    EXPECT_EQ(message_of([&] { dense_strides(layout, 1, -2, 1); }), "channels must be at least 0, was -2");
    EXPECT_EQ(message_of([&] { dense_elements(layout, 1, 2, -3); }), "spatial must be at least 0, was -3");
  }
  EXPECT_EQ(message_of([] { dense_strides(Layout::nc, 1, 2, 3); }), "spatial must be 1 in layout nc, was 3");
}

TEST(ElementOffset, GivesEachElementOfADenseTensorAPlaceOfItsOwn) {
  constexpr std::int64_t batch = 3, channels = 20;
  for (const Layout layout : every_layout) {
    SCOPED_TRACE(name(layout));
    const std::int64_t spatial = layout == Layout::nc ? 1 : 7;
    const Strides strides = dense_strides(layout, batch, channels, spatial);
    std::set<std::int64_t> places;
    for (std::int64_t n = 0; n < batch; ++n) {
      for (std::int64_t c = 0; c < channels; ++c) {
        for (std::int64_t s = 0; s < spatial; ++s) places.insert(element_offset(layout, strides, n, c, s));
      }
    }
    EXPECT_EQ(places.size(), static_cast<std::size_t>(batch * channels * spatial));
    EXPECT_EQ(*places.begin(), 0);
    EXPECT_LT(*places.rbegin(), dense_elements(layout, batch, channels, spatial));
  }
}

TEST(ElementOffset, FollowsTheStrides) {
  EXPECT_EQ(element_offset(Layout::nc, {1000, 0, 0}, 2, 19, 0), 2019);
  EXPECT_EQ(element_offset(Layout::ncx, {1000, 10, 0}, 2, 19, 6), 2196);
  EXPECT_EQ(element_offset(Layout::nxc, {1000, 0, 30}, 2, 19, 6), 2199);
  EXPECT_EQ(element_offset(Layout::nCx8c, {1000, 100, 10}, 2, 19, 6), 2000 + 2 * 100 + 60 + 3);
  EXPECT_EQ(element_offset(Layout::nCx16c, {5000, 200, 20}, 2, 19, 6), 10000 + 200 + 120 + 3);
}

Strides collapse(Layout layout, const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides) {
  return collapse_strides(layout, sizes.data(), strides.data(), static_cast<int>(sizes.size()));
}

TEST(CollapseStrides, AgreesWithDenseStridesOnDenseTensors) {
  expect_strides(collapse(Layout::nc, {3, 20}, {20, 1}), 20, 0, 0);
  expect_strides(collapse(Layout::ncx, {3, 20, 7}, {140, 7, 1}), 140, 7, 0);
  expect_strides(collapse(Layout::ncx, {3, 20, 5, 7}, {700, 35, 7, 1}), 700, 35, 0);
  expect_strides(collapse(Layout::ncx, {3, 20, 2, 5, 7}, {1400, 70, 35, 7, 1}), 1400, 70, 0);
  expect_strides(collapse(Layout::nxc, {3, 20, 5, 7}, {700, 1, 140, 20}), 700, 0, 20);
  expect_strides(collapse(Layout::nCx8c, {3, 20, 5, 7}, {840, 280, 56, 8}), 840, 280, 8);
  expect_strides(collapse(Layout::nCx16c, {3, 20, 5, 7}, {1120, 560, 112, 16}), 1120, 560, 16);
}

TEST(CollapseStrides, TakesSlicesOfWiderTensors) {
  expect_strides(collapse(Layout::ncx, {3, 20, 5, 7}, {3360, 35, 7, 1}), 3360, 35, 0);
  expect_strides(collapse(Layout::nxc, {3, 20, 5, 7}, {3360, 1, 672, 96}), 3360, 0, 96);
  expect_strides(collapse(Layout::nxc, {3, 20}, {96, 1}), 96, 0, 0);
}

TEST(CollapseStrides, IgnoresTheStridesOfDimensionsOfOneElement) {
  expect_strides(collapse(Layout::ncx, {1, 20, 1, 7}, {-5, 7, 999, 1}), 0, 7, 0);
  expect_strides(collapse(Layout::ncx, {3, 1, 5, 1}, {5, 0, 1, 0}), 5, 0, 0);
  expect_strides(collapse(Layout::nxc, {3, 20, 1, 7}, {140, 1, 3, 20}), 140, 0, 20);
  expect_strides(collapse(Layout::nxc, {3, 1, 5, 7}, {35, 99, 7, 1}), 35, 0, 1);
  expect_strides(collapse(Layout::nCx8c, {3, 8, 5, 7}, {280, 0, 56, 8}), 280, 0, 8);
  expect_strides(collapse(Layout::nc, {3, 20, 1, 1}, {20, 1, 0, 0}), 20, 0, 0);
}

TEST(CollapseStrides, TakesEmptyTensors) {
  expect_strides(collapse(Layout::ncx, {0, 20, 5, 7}, {0, 35, 7, 1}), 0, 35, 0);
  expect_strides(collapse(Layout::nxc, {3, 20, 0, 7}, {700, 1, 9, 20}), 700, 0, 0);
}

TEST(CollapseStrides, RefusesWhatDoesNotCollapse) {
  EXPECT_EQ(message_of([] {
              collapse(Layout::ncx, {3, 20, 5, 7}, {1000, 50, 10, 1});
            }),
            "strides[2] must be size * stride of the next spatial dimension, 7, was 10");
  EXPECT_EQ(message_of([] {
              collapse(Layout::nxc, {3, 20, 5, 7}, {1000, 1, 20, 100});
            }),
            "strides[2] must be size * stride of the next spatial dimension, 700, was 20");
  EXPECT_EQ(message_of([] {
              collapse(Layout::ncx, {3, 20, 2, 1, 7}, {1000, 50, 8, 99, 1});
            }),
            "strides[2] must be size * stride of the next spatial dimension, 7, was 8");
}

TEST(CollapseStrides, RefusesWhatIsNotContiguous) {
  EXPECT_EQ(message_of([] {
              collapse(Layout::ncx, {3, 20, 7}, {280, 14, 2});
            }),
            "strides[2] must be 1 in layout ncx, was 2");
  EXPECT_EQ(message_of([] {
              collapse(Layout::nxc, {3, 20, 7}, {280, 2, 40});
            }),
            "strides[1] must be 1 in layout nxc, was 2");
  EXPECT_EQ(message_of([] { collapse(Layout::nc, {3, 20}, {40, 2}); }), "strides[1] must be 1 in layout nc, was 2");
}

TEST(CollapseStrides, RefusesBroadcastAndReversedDimensions) {
  EXPECT_EQ(message_of([] { collapse(Layout::ncx, {3, 20, 7}, {0, 7, 1}); }), "strides[0] must be at least 1, was 0");
  EXPECT_EQ(message_of([] {
              collapse(Layout::ncx, {3, 20, 7}, {140, -7, 1});
            }),
            "strides[1] must be at least 1, was -7");
  EXPECT_EQ(message_of([] { collapse(Layout::nxc, {3, 20, 7}, {140, 1, 0}); }), "strides[2] must be at least 1, was 0");
}

TEST(CollapseStrides, RefusesProductsThatOverflow) {
  EXPECT_EQ(message_of([] {
              collapse(Layout::nxc, {1, 1, 2, std::int64_t{1} << 33}, {0, 0, 4, std::int64_t{1} << 33});
            }).substr(0, 34),
            "strides[2] must be size * stride o");
}

TEST(CollapseStrides, RefusesMalformedDescriptions) {
  const std::int64_t sizes[] = {3, 20, 7};
  const std::int64_t strides[] = {140, 7, 1};
  EXPECT_EQ(message_of([&] { collapse_strides(Layout::ncx, nullptr, strides, 3); }),
            "sizes must not be null, was null");
  EXPECT_EQ(message_of([&] { collapse_strides(Layout::ncx, sizes, nullptr, 3); }),
            "strides must not be null, was null");
  EXPECT_EQ(message_of([&] { collapse_strides(Layout::ncx, sizes, strides, 1); }), "rank must be at least 2, was 1");
  EXPECT_EQ(message_of([&] { collapse_strides(no_layout, sizes, strides, 3); }),
            "layout must be one of nc, ncx, nxc, nCx8c, nCx16c, was 5");
  EXPECT_EQ(message_of([] {
              collapse(Layout::ncx, {3, -20, 7}, {140, 7, 1});
            }),
            "sizes[1] must be at least 0, was -20");
  EXPECT_EQ(message_of([] {
              collapse(Layout::nc, {3, 20, 7}, {140, 1, 20});
            }),
            "sizes[2] must be 1 in layout nc, was 7");
}

}  // namespace
}  // namespace xbn
