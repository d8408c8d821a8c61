#pragma once

#include <filesystem>
#include <string_view>

#include "data/dataset.hpp"

namespace train {

/// MNIST's format: four bytes of magic (0, 0, 8 for unsigned bytes, number of dimensions), a big-endian 32-bit size
/// for each dimension, the bytes. Images have two or more dimensions, labels one. Throws FileError with the byte.
Dataset parse_idx(const std::filesystem::path& images_file, std::string_view images,
                  const std::filesystem::path& labels_file, std::string_view labels);

/// Of two files, which may be compressed.
Dataset read_idx(const std::filesystem::path& images, const std::filesystem::path& labels);

}  // namespace train
