// Which tensors and arrays of one call may share memory, against the definition: the sets of places that they touch.

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "xbn/batch_norm.hpp"

namespace xbn {
namespace {

constexpr Layout every_layout[] = {Layout::nc, Layout::ncx, Layout::nxc, Layout::nCx8c, Layout::nCx16c};

/// Where a tensor begins in a buffer that all arguments share, and how it lies there.
struct View {
  std::int64_t begin = 0;
  Strides strides;
  bool owns_padding = false;
};

struct Relation {
  bool overlap = false;
  bool equal = false;
  bool ranges_overlap = false;
};

class Overlap : public testing::Test {
 protected:
  static constexpr std::int64_t origin = 16000;

  static Strides spelled_out(const Problem& problem, const Strides& strides) {
    const Strides dense = dense_strides(problem.layout, problem.batch, problem.channels, problem.spatial);
    const std::int64_t blocks = (problem.channels + channel_block(problem.layout) - 1) / channel_block(problem.layout);
    Strides full;
    full.position = strides.position != 0 ? strides.position : dense.position;
    const std::int64_t plane = full.position != 0 ? problem.spatial * full.position : dense.channel;
    full.channel = strides.channel != 0 ? strides.channel : dense.channel == 0 ? 0 : plane;
    const std::int64_t image = full.channel != 0 ? blocks * full.channel : plane != 0 ? plane : dense.batch;
    full.batch = strides.batch != 0 ? strides.batch : image;
    return full;
  }

  /// Offsets of all elements, in the order of the loops, and then of the pad lanes if asked for.
  static std::vector<std::int64_t> places(const Problem& problem, const View& view, bool with_padding) {
    const Strides strides = spelled_out(problem, view.strides);
    const std::int64_t block = channel_block(problem.layout);
    const std::int64_t lanes = (problem.channels + block - 1) / block * block;
    std::vector<std::int64_t> offsets;
    for (std::int64_t c = 0; c < (with_padding ? lanes : problem.channels); ++c) {
      for (std::int64_t n = 0; n < problem.batch; ++n) {
        for (std::int64_t s = 0; s < problem.spatial; ++s) {
          offsets.push_back(view.begin + element_offset(problem.layout, strides, n, c, s));
        }
      }
    }
    return offsets;
  }

  static Relation relation(std::vector<std::int64_t> a, std::vector<std::int64_t> b) {
    Relation found;
    found.equal =
        std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    found.ranges_overlap = a.front() <= b.back() && b.front() <= a.back();
    std::vector<std::int64_t> shared;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(shared));
    found.overlap = !shared.empty();
    return found;
  }

  bool is_refused(const BatchNorm& object, const View& x, const View& y, const float* shift) {
    try {
      object.forward_folded({{buffer.data() + x.begin, x.strides},
                             {buffer.data() + y.begin, y.strides, y.owns_padding},
                             nullptr,
                             scale.data(),
                             shift});
      return false;
    } catch (const std::invalid_argument&) {
      return true;
    }
  }

  bool is_refused(const BatchNorm& object, const View& x, const View& y) {
    return is_refused(object, x, y, scale.data());
  }

  std::vector<float> buffer = std::vector<float>(48000, 1.0F);
  std::vector<float> scale = std::vector<float>(40, 1.0F);
};

std::string describe(const Problem& problem, const View& x, const View& y) {
  std::ostringstream out;
  out << name(problem.layout) << ' ' << problem.batch << 'x' << problem.channels << 'x' << problem.spatial;
  for (const View& view : {x, y}) {
    out << ", at " << view.begin << " {" << view.strides.batch << ", " << view.strides.channel << ", "
        << view.strides.position << '}' << (view.owns_padding ? " with padding" : "");
  }
  return out.str();
}

/// Random problems and tensors, small enough to count places.
class Random {
 public:
  std::int64_t from_to(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }

  Problem problem() {
    const Layout layout = every_layout[from_to(0, 4)];
    const std::int64_t channels = channel_block(layout) == 1 ? from_to(1, 5) : from_to(1, 20);
    return {layout, from_to(1, 3), channels, layout == Layout::nc ? 1 : from_to(1, 4)};
  }

  /// Each free stride is dense or larger, by so much that other tensors fit in the gap.
  Strides strides(const Problem& problem) {
    const Strides dense = dense_strides(problem.layout, problem.batch, problem.channels, problem.spatial);
    const std::int64_t block = channel_block(problem.layout);
    Strides strides;
    std::int64_t around = problem.layout == Layout::ncx ? problem.spatial : block > 1 ? block : problem.channels;
    if (dense.position != 0) {
      strides.position = around + gap(around);
      around = problem.spatial * strides.position;
    }
    if (dense.channel != 0) {
      strides.channel = around + gap(around);
      around = (problem.channels + block - 1) / block * strides.channel;
    }
    strides.batch = around + gap(around);
    return strides;
  }

 private:
  std::int64_t gap(std::int64_t around) { return from_to(0, 2) == 0 ? 0 : from_to(0, 2 * around + 2); }

  std::mt19937_64 engine_{20240607};
};

TEST_F(Overlap, IsDecidedExactlyWherePitchesAreEqual) {
  Random random;
  int refused = 0, interleaved = 0, in_place = 0;
  for (int i = 0; i < 20000; ++i) {
    const Problem problem = random.problem();
    const BatchNorm object(problem, {&serial_executor(), {}});
    View x{origin, random.strides(problem)};
    const std::int64_t reach = places(problem, x, true).back() - origin + 2;
    View y{origin + random.from_to(-reach, reach), x.strides, random.from_to(0, 1) == 1};
    if (i % 16 == 0) y.begin = x.begin;
    const Relation found = relation(places(problem, y, y.owns_padding), places(problem, x, false));
    const bool expected = found.overlap && !found.equal;
    ASSERT_EQ(is_refused(object, x, y), expected) << describe(problem, x, y);
    refused += expected;
    interleaved += found.ranges_overlap && !found.overlap;
    in_place += found.equal;
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(interleaved, 1000);
  EXPECT_GT(in_place, 1000);
}

TEST_F(Overlap, IsNeverMissedWherePitchesDiffer) {
  Random random;
  int refused = 0, proven = 0;
  for (int i = 0; i < 20000; ++i) {
    const Problem problem = random.problem();
    const BatchNorm object(problem, {&serial_executor(), {}});
    const View x{origin, random.strides(problem)};
    const std::int64_t reach = places(problem, x, true).back() - origin + 2;
    const View y{origin + random.from_to(-reach, reach), random.strides(problem), random.from_to(0, 1) == 1};
    const Relation found = relation(places(problem, y, y.owns_padding), places(problem, x, false));
    const bool is = is_refused(object, x, y);
    if (found.overlap && !found.equal) {
      ASSERT_TRUE(is) << describe(problem, x, y);
    } else if (found.equal || !found.ranges_overlap) {
      ASSERT_FALSE(is) << describe(problem, x, y);
    }
    refused += is;
    proven += !is && found.ranges_overlap && !found.overlap;
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(proven, 100);
}

TEST_F(Overlap, OfAnArrayWithATensorIsDecidedExactly) {
  Random random;
  int refused = 0, in_a_gap = 0;
  for (int i = 0; i < 20000; ++i) {
    const Problem problem = random.problem();
    const BatchNorm object(problem, {&serial_executor(), {}});
    const View x{40000, {}};
    const View y{origin, random.strides(problem), random.from_to(0, 1) == 1};
    const std::vector<std::int64_t> written = places(problem, y, y.owns_padding);
    const std::int64_t reach = places(problem, y, true).back() - origin;
    const std::int64_t begin = origin + random.from_to(-problem.channels - 1, reach + 2);
    std::vector<std::int64_t> read;
    for (std::int64_t c = 0; c < problem.channels; ++c) read.push_back(begin + c);
    const Relation found = relation(written, read);
    ASSERT_EQ(is_refused(object, x, y, buffer.data() + begin), found.overlap)
        << describe(problem, x, y) << ", array at " << begin;
    refused += found.overlap;
    in_a_gap += found.ranges_overlap && !found.overlap;
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(in_a_gap, 1000);
}

/// Reads channels 0 to 63 of 96 and writes 64 to 95: half of them twice, as the two tensors have the same shape.
TEST_F(Overlap, LetsADenseBlockReadAndWriteOneBuffer) {
  constexpr std::int64_t batch = 2, wide = 96, channels = 32, spatial = 25;
  for (const Layout layout : every_layout) {
    SCOPED_TRACE(name(layout));
    const std::int64_t positions = layout == Layout::nc ? 1 : spatial;
    const Strides strides = dense_strides(layout, batch, wide, positions);
    const BatchNorm object({layout, batch, channels, positions});
    const View read_0{100, strides};
    const View read_32{100 + element_offset(layout, strides, 0, 32, 0), strides};
    const View write_64{100 + element_offset(layout, strides, 0, 64, 0), strides, true};
    EXPECT_FALSE(is_refused(object, read_0, write_64));
    EXPECT_FALSE(is_refused(object, read_32, write_64));
    EXPECT_FALSE(is_refused(object, write_64, read_0));
    EXPECT_FALSE(is_refused(object, write_64, write_64));
    const View write_half_read{100 + element_offset(layout, strides, 0, 48, 0), strides, true};
    EXPECT_TRUE(is_refused(object, read_32, write_half_read));
    EXPECT_TRUE(is_refused(object, write_64, write_half_read));
  }
}

TEST_F(Overlap, IsDisprovedInWhatDifferentPitchesInterleave) {
  // Even rows of a channels-last buffer, and the left half of all its rows.
  const BatchNorm rows({Layout::nxc, 2, 8, 4});
  const View even_rows{8, {8 * 32, 0, 32}};
  const View left_halves{0, {4 * 16, 0, 16}, true};
  EXPECT_FALSE(is_refused(rows, even_rows, left_halves));
  EXPECT_FALSE(is_refused(rows, left_halves, even_rows));

  // A dense tensor between the images of another.
  const BatchNorm images({Layout::nxc, 2, 3, 2});
  const View far_apart{100, {100, 0, 5}};
  EXPECT_FALSE(is_refused(images, far_apart, {120, {}}));
  EXPECT_FALSE(is_refused(images, {120, {}}, far_apart));
  EXPECT_TRUE(is_refused(images, far_apart, {190, {}}));

  // Records of an image of each.
  const View first_in_record{100, {40, 0, 3}};
  EXPECT_FALSE(is_refused(images, first_in_record, {110, {40, 0, 5}}));
  EXPECT_FALSE(is_refused(images, {110, {40, 0, 5}}, first_in_record));
  EXPECT_TRUE(is_refused(images, first_in_record, {105, {40, 0, 5}}));
}

TEST_F(Overlap, CountsThePadLanesOfADestinationThatOwnsThem) {
  const BatchNorm wide({Layout::nCx8c, 1, 5, 3});
  EXPECT_TRUE(is_refused(wide, {100, {}}, {105, {}, false}));
  const BatchNorm narrow({Layout::nCx8c, 1, 3, 3});
  EXPECT_FALSE(is_refused(narrow, {100, {}}, {103, {}, false}));
  EXPECT_TRUE(is_refused(narrow, {100, {}}, {103, {}, true}));
  EXPECT_FALSE(is_refused(narrow, {100, {}}, {105, {}, false}));
}

TEST_F(Overlap, InPlaceNeedsOnlyTheStridesThatMatter) {
  const BatchNorm one_image({Layout::ncx, 1, 3, 4});
  EXPECT_FALSE(is_refused(one_image, {100, {}}, {100, {12, 4, 0}}));
  EXPECT_FALSE(is_refused(one_image, {100, {999, 0, 0}}, {100, {12, 4, 0}}));
  EXPECT_TRUE(is_refused(one_image, {100, {}}, {100, {0, 5, 0}}));
  const BatchNorm one_position({Layout::nxc, 3, 4, 1});
  EXPECT_FALSE(is_refused(one_position, {100, {0, 0, 77}}, {100, {4, 0, 99}}));
  EXPECT_TRUE(is_refused(one_position, {100, {}}, {100, {5, 0, 0}}));
}

}  // namespace
}  // namespace xbn
