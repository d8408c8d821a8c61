#pragma once

#include "network/convolution.hpp"

namespace train {

/// The 3 x 3 positions around each position of one image. In ncx a matrix of 9 * channels x positions, in nxc of
/// positions x 9 * channels. Neighbours outside the image are left alone: the caller made them zero once.
void gather_neighbourhoods(const ImageShape& shape, const float* image, float* neighbourhoods);

/// The other way, for gradients: adds each element of the neighbourhoods to that of the image which it was taken from.
void add_neighbourhoods(const ImageShape& shape, const float* neighbourhoods, float* image);

}  // namespace train
