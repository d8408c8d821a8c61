#include "network/neighbourhoods.hpp"

#include <algorithm>

namespace train {
namespace {

// Calls body(where in the neighbourhoods, where in the image, length) for each run of neighbours that lie side by side
// in both, and inside the image.
template <class Body>
void for_each_run(const ImageShape& shape, const Body& body) {
  const std::int64_t width = shape.width;
  for (std::int64_t y = 0; y < shape.height; ++y) {
    for (std::int64_t ky = 0; ky < 3; ++ky) {
      const std::int64_t from_y = y + ky - 1;
      if (from_y < 0 || from_y >= shape.height) continue;
      if (shape.layout == xbn::Layout::ncx) {
        for (std::int64_t c = 0; c < shape.channels; ++c) {
          for (std::int64_t kx = 0; kx < 3; ++kx) {
            const std::int64_t begin = std::max<std::int64_t>(0, 1 - kx);
            const std::int64_t end = std::min(width, width + 1 - kx);
            body((c * 9 + ky * 3 + kx) * shape.positions() + y * width + begin,
                 c * shape.positions() + from_y * width + begin + kx - 1, end - begin);
          }
        }
      } else {
        for (std::int64_t x = 0; x < width; ++x) {
          const std::int64_t begin = std::max<std::int64_t>(0, 1 - x);
          const std::int64_t end = std::min<std::int64_t>(3, width + 1 - x);
          body(((y * width + x) * 9 + ky * 3 + begin) * shape.channels,
               (from_y * width + x + begin - 1) * shape.channels, (end - begin) * shape.channels);
        }
      }
    }
  }
}

}  // namespace

void gather_neighbourhoods(const ImageShape& shape, const float* image, float* neighbourhoods) {
  for_each_run(shape, [&](std::int64_t to, std::int64_t from, std::int64_t length) {
    std::copy_n(image + from, length, neighbourhoods + to);
  });
}

void add_neighbourhoods(const ImageShape& shape, const float* neighbourhoods, float* image) {
  for_each_run(shape, [&](std::int64_t to, std::int64_t from, std::int64_t length) {
    for (std::int64_t i = 0; i < length; ++i) image[from + i] += neighbourhoods[to + i];
  });
}

}  // namespace train
