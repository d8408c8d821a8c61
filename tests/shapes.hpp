#pragma once

#include <string>
#include <vector>

#include "reference.hpp"

namespace xbn::test {

/// The problems of benchdnn's sets 1d, 2d, 3d, ci and regressions, save those of large_shapes.
const std::vector<Shape>& benchdnn_shapes();

/// benchdnn's regressions with a batch of 88, and channels of hundreds of tiles in every layout.
const std::vector<Shape>& large_shapes();

/// The layers of ResNet-50, GoogLeNet and DenseNet-121, with a batch of one image.
const std::vector<Shape>& topology_shapes();

/// Channels, positions and images around every width of vector and block, one of the three at a time.
const std::vector<Shape>& edge_shapes();

/// One of each kind: few and many channels, positions and images, whole vectors and tails.
const std::vector<Shape>& few_shapes();

std::string to_string(const Shape& shape);

}  // namespace xbn::test
