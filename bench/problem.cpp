#include "problem.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

namespace bench {
namespace {

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

/// What is left of a text from some position on, for "was ...".
std::string found(std::string_view text, std::size_t position) {
  return position < text.size() ? quoted(text.substr(position)) : "the end";
}

struct Size {
  std::string_view key;
  std::int64_t value = 0;  ///< 0: not given
};

class DescriptorParser {
 public:
  DescriptorParser(std::string_view origin, std::string_view text) : origin_(origin), text_(text) {}

  Shape parse() {
    while (position_ < text_.size()) {
      if (text_[position_] == '_') {
        ++position_;
      } else if (Size* size = size_at_position()) {
        parse_size(*size);
      } else if (starts_with("eps")) {
        parse_epsilon();
      } else if (text_[position_] == 'n') {
        parse_name();
      } else {
        fail(position_, "must be mb, ic, id, ih, iw, eps or n\"...\"; was " + found(text_, position_));
      }
    }
    return complete();
  }

 private:
  [[noreturn]] void fail(std::size_t position, const std::string& complaint) const {
    throw ParseError(origin_, text_, position, complaint);
  }

  bool starts_with(std::string_view key) const { return text_.substr(position_, key.size()) == key; }

  Size* size_at_position() {
    for (Size& size : sizes_) {
      if (starts_with(size.key)) return &size;
    }
    return nullptr;
  }

  void parse_size(Size& size) {
    if (size.value != 0) fail(position_, std::string(size.key) + " must be given once; was given twice");
    position_ += size.key.size();
    const char* const end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(text_.data() + position_, end, size.value);
    if (error != std::errc{} || size.value < 1) {
      fail(position_, std::string(size.key) + " must be followed by an integer from 1 to 2^63 - 1; was " +
                          found(text_, position_));
    }
    position_ = static_cast<std::size_t>(rest - text_.data());
  }

  void parse_epsilon() {
    position_ += 3;
    const char* const end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(text_.data() + position_, end, shape_.epsilon);
    if (error != std::errc{} || !std::isfinite(shape_.epsilon) || shape_.epsilon < 0) {
      fail(position_, "eps must be followed by a finite number of at least 0; was " + found(text_, position_));
    }
    position_ = static_cast<std::size_t>(rest - text_.data());
  }

  void parse_name() {
    std::string_view name = text_.substr(position_ + 1);
    if (!name.empty() && name.front() == '"') {
      const std::size_t close = name.find('"', 1);
      if (close == std::string_view::npos) fail(text_.size(), "the name must end with '\"'; was the end");
      if (close + 1 != name.size()) {
        const std::size_t after = position_ + close + 2;
        fail(after, "the name must be the last part; was followed by " + found(text_, after));
      }
      name = name.substr(1, close - 1);
    }
    if (name.empty()) fail(position_ + 1, "the name must not be empty; was empty");
    shape_.name = name;
    position_ = text_.size();
  }

  Shape complete() {
    const auto [batch, channels, depth, height, width] =
        std::array{sizes_[0].value, sizes_[1].value, sizes_[2].value, sizes_[3].value, sizes_[4].value};
    if (channels == 0) fail(text_.size(), "ic must be given; was not");
    if (batch != 0) shape_.batch = batch;
    shape_.channels = channels;
    shape_.rank = depth != 0 ? 5 : height != 0 ? 4 : width != 0 ? 3 : 2;
    if (depth != 0) shape_.depth = depth;
    shape_.height = height != 0 ? height : shape_.depth;
    shape_.width = width != 0 ? width : shape_.height;
    if (!fits(shape_)) fail(0, "the tensor must have at most 2^63 - 1 bytes; had more");
    return shape_;
  }

  std::string_view origin_;
  std::string_view text_;
  std::size_t position_ = 0;
  std::array<Size, 5> sizes_{{{"mb"}, {"ic"}, {"id"}, {"ih"}, {"iw"}}};
  Shape shape_{};
};

}  // namespace

ParseError::ParseError(std::string_view origin, std::string_view text, std::size_t position,
                       const std::string& complaint)
    : std::invalid_argument(std::string(origin) + ": character " + std::to_string(position + 1) + " of '" +
                            std::string(text) + "': " + complaint) {}

std::int64_t parse_positive(std::string_view origin, std::string_view text) {
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto parsed = static_cast<std::size_t>(rest - text.data());
  if (error != std::errc{} || value < 1) {
    throw ParseError(origin, text, 0, "must be an integer from 1 to 2^63 - 1; was " + found(text, 0));
  }
  if (parsed != text.size()) {
    throw ParseError(origin, text, parsed, "must end after the integer; was followed by " + found(text, parsed));
  }
  return value;
}

Shape parse_problem(std::string_view origin, std::string_view text) { return DescriptorParser(origin, text).parse(); }

bool fits(const Shape& shape) {
  constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t widest_block = 16;
  if (shape.channels > largest - widest_block) return false;
  const std::int64_t padded_channels = (shape.channels + widest_block - 1) / widest_block * widest_block;
  std::int64_t bytes = sizeof(double);
  for (const std::int64_t size : {shape.batch, padded_channels, shape.depth, shape.height, shape.width}) {
    if (size > largest / bytes) return false;
    bytes *= size;
  }
  return true;
}

std::string descriptor(const Shape& shape) {
  std::string text = "mb" + std::to_string(shape.batch) + "ic" + std::to_string(shape.channels);
  if (shape.rank >= 5) text += "id" + std::to_string(shape.depth);
  if (shape.rank >= 4) text += "ih" + std::to_string(shape.height);
  if (shape.rank >= 3) text += "iw" + std::to_string(shape.width);
  if (shape.epsilon != Shape{}.epsilon) {
    std::array<char, 32> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), shape.epsilon);
    text += "eps" + std::string(digits.data(), end);
  }
  return text;
}

}  // namespace bench
