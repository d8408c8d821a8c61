#include "shapes.hpp"

#include <cstdint>

namespace xbn::test {

const std::vector<Shape>& benchdnn_shapes() {
  static const std::vector<Shape> shapes{
      // 1d
      {1, 16, 1},
      {1, 32, 30},
      {32, 128, 10},
      {32, 27, 7},
      {9, 128, 1},
      // 2d
      {1, 1, 1},
      {1, 3, 1},
      {1, 256, 28 * 28},
      {1, 257, 28 * 28},
      {1, 1024, 28 * 17},
      {2, 128, 2 * 2},
      // 3d
      {1, 16, 40 * 40 * 40},
      {32, 128, 12 * 10 * 8},
      // ci
      {2, 23, 1},
      {2, 32, 32},
      {5, 33, 27},
      {2, 256, 28 * 28},
      {4, 200, 17 * 16},
      {2, 16, 12 * 12 * 12},
      {1, 19, 4 * 6 * 6},
      // regressions
      {2, 251, 28 * 28},
      {2, 64, 224 * 224},
      {2, 64, 56 * 56},
      {8, 322, 16 * 16},
      {12, 4, 8 * 8},
      {1, 24, 14 * 14},
  };
  return shapes;
}

const std::vector<Shape>& large_shapes() {
  static const std::vector<Shape> shapes{{88, 600, 256}, {88, 980, 256}, {88, 800, 256},
                                         {88, 900, 256}, {3, 1, 800001}, {70000, 64, 1}};
  return shapes;
}

const std::vector<Shape>& topology_shapes() {
  static const std::vector<Shape> shapes{
      // ResNet-50
      {1, 64, 112 * 112},
      {1, 256, 56 * 56},
      {1, 64, 56 * 56},
      {1, 512, 28 * 28},
      {1, 128, 28 * 28},
      {1, 1024, 14 * 14},
      {1, 256, 14 * 14},
      {1, 2048, 7 * 7},
      {1, 512, 7 * 7},
      // GoogLeNet v2
      {1, 192, 56 * 56},
      {1, 96, 28 * 28},
      {1, 160, 14 * 14},
      {1, 224, 14 * 14},
      {1, 128, 4 * 4},
      {1, 128, 2 * 2},
      {1, 352, 7 * 7},
      {1, 320, 7 * 7},
      // GoogLeNet v3
      {1, 32, 149 * 149},
      {1, 32, 147 * 147},
      {1, 80, 73 * 73},
      {1, 192, 71 * 71},
      {1, 48, 35 * 35},
      {1, 384, 17 * 17},
      {1, 448, 8 * 8},
      // DenseNet-121
      {1, 160, 57 * 57},
      {1, 416, 29 * 29},
      {1, 992, 15 * 15},
      {1, 1024, 8 * 8},
  };
  return shapes;
}

const std::vector<Shape>& edge_shapes() {
  static const std::vector<Shape> shapes = [] {
    std::vector<Shape> all;
    for (std::int64_t channels : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 23, 27, 31, 33, 64, 65, 257}) {
      all.push_back({3, channels, 1});
      all.push_back({2, channels, 7});
      all.push_back({3, channels, 49});
    }
    for (std::int64_t spatial : {1, 2, 3, 4, 7, 15, 16, 17, 49, 196, 255, 256, 257, 784, 1000, 3136, 8195, 20000}) {
      all.push_back({1, 3, spatial});
      all.push_back({2, 17, spatial});
    }
    for (std::int64_t batch : {1, 2, 3, 5, 16, 33}) {
      all.push_back({batch, 19, 1});
      all.push_back({batch, 19, 49});
    }
    all.push_back({300, 40, 1});
    all.push_back({5000, 6, 1});
    all.push_back({1, 1, 300000});
    all.push_back({1, 2500, 3});
    return all;
  }();
  return shapes;
}

const std::vector<Shape>& few_shapes() {
  static const std::vector<Shape> shapes{{33, 19, 1}, {2, 3, 1000},  {5, 33, 49},
                                         {3, 64, 17}, {1, 17, 8195}, {16, 257, 4}};
  return shapes;
}

std::string to_string(const Shape& shape) {
  return "mb" + std::to_string(shape.batch) + "ic" + std::to_string(shape.channels) + "iw" +
         std::to_string(shape.spatial);
}

}  // namespace xbn::test
