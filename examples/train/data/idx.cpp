#include "data/idx.hpp"

#include <algorithm>
#include <string>

#include "data/contents.hpp"
#include "data/file_error.hpp"

namespace train {
namespace {

/// `count` items of `size` bytes each.
struct Items {
  std::int64_t count = 1;
  std::int64_t size = 1;
  std::string_view bytes{};
};

std::int64_t byte_at(std::string_view contents, std::int64_t offset) {
  return static_cast<unsigned char>(contents[static_cast<std::size_t>(offset)]);
}

void require(const std::filesystem::path& file, std::string_view contents, std::int64_t bytes, const char* what) {
  const auto there = static_cast<std::int64_t>(contents.size());
  if (there < bytes) {
    throw FileError::at_byte(
        file, there, std::string(what) + " must go up to byte " + std::to_string(bytes) + "; the file ends here");
  }
}

std::int64_t dimensions_of(const std::filesystem::path& file, std::string_view contents) {
  require(file, contents, 4, "the magic number");
  for (std::int64_t i = 0; i < 2; ++i) {
    if (byte_at(contents, i) != 0) {
      throw FileError::at_byte(file, i, "must be 0, as IDX files begin; was " + std::to_string(byte_at(contents, i)));
    }
  }
  if (byte_at(contents, 2) != 8) {
    throw FileError::at_byte(file, 2, "must be 8, for unsigned bytes; was " + std::to_string(byte_at(contents, 2)));
  }
  return byte_at(contents, 3);
}

Items parse(const std::filesystem::path& file, std::string_view contents, std::int64_t dimensions) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  const std::int64_t header = 4 + 4 * dimensions;
  require(file, contents, header, "the sizes");
  Items items;
  for (std::int64_t d = 0; d < dimensions; ++d) {
    const std::int64_t offset = 4 + 4 * d;
    std::int64_t size = 0;
    for (std::int64_t i = 0; i < 4; ++i) size = size * 256 + byte_at(contents, offset + i);
    if (size == 0) throw FileError::at_byte(file, offset, "a size must be at least 1; was 0");
    if (d > 0 && size > most / (items.count * items.size)) {
      throw FileError::at_byte(file, offset,
                               "sizes must multiply to at most 2^40; were more with " + std::to_string(size));
    }
    (d == 0 ? items.count : items.size) *= size;
  }
  const std::int64_t end = header + items.count * items.size;
  require(file, contents, end, "the data");
  if (static_cast<std::int64_t>(contents.size()) > end) {
    throw FileError::at_byte(file, end, "must be the end of the file; more bytes follow");
  }
  items.bytes = contents.substr(static_cast<std::size_t>(header));
  return items;
}

}  // namespace

Dataset parse_idx(const std::filesystem::path& images_file, std::string_view images,
                  const std::filesystem::path& labels_file, std::string_view labels) {
  const std::int64_t dimensions = dimensions_of(images_file, images);
  if (dimensions < 2) {
    throw FileError::at_byte(images_file, 3,
                             "images must have at least 2 dimensions; have " + std::to_string(dimensions));
  }
  if (const std::int64_t of_labels = dimensions_of(labels_file, labels); of_labels != 1) {
    throw FileError::at_byte(labels_file, 3, "labels must have 1 dimension; have " + std::to_string(of_labels));
  }
  const Items image = parse(images_file, images, dimensions);
  const Items label = parse(labels_file, labels, 1);
  if (label.count != image.count) {
    throw FileError::at_byte(labels_file, 4,
                             "must be as many labels as " + images_file.string() + " has images, " +
                                 std::to_string(image.count) + "; was " + std::to_string(label.count));
  }
  Dataset data;
  data.features = image.size;
  data.x.resize(image.bytes.size());
  const auto to_int = [](char byte) { return static_cast<int>(static_cast<unsigned char>(byte)); };
  std::transform(image.bytes.begin(), image.bytes.end(), data.x.begin(),
                 [&](char byte) { return static_cast<float>(to_int(byte)); });
  data.labels.resize(label.bytes.size());
  std::transform(label.bytes.begin(), label.bytes.end(), data.labels.begin(), to_int);
  data.classes = *std::max_element(data.labels.begin(), data.labels.end()) + 1;
  return data;
}

Dataset read_idx(const std::filesystem::path& images, const std::filesystem::path& labels) {
  return parse_idx(images, read_contents(images), labels, read_contents(labels));
}

}  // namespace train
