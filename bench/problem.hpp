#pragma once

/// Problem descriptors as oneDNN's benchdnn writes them: mb50ic64ih112n"resnet_50:conv1".

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bench {

/// A text that does not parse. The message says where it came from, the position in it, what must be there and what
/// was.
class ParseError : public std::invalid_argument {
 public:
  /// `position` counts characters from 0; the message counts them from 1.
  ParseError(std::string_view origin, std::string_view text, std::size_t position, const std::string& complaint);
};

/// What a descriptor describes.
struct Shape {
  std::int64_t batch = 2;
  std::int64_t channels = 0;
  std::int64_t depth = 1;
  std::int64_t height = 1;
  std::int64_t width = 1;
  int rank = 2;  ///< 2 (batch and channels alone) to 5
  double epsilon = 1.0 / 16;
  std::string name{};

  std::int64_t spatial() const { return depth * height * width; }
};

/// A decimal integer of at least 1, which must be all of `text`. Throws ParseError.
std::int64_t parse_positive(std::string_view origin, std::string_view text);

/// mbN icN idN ihN iwN epsX n"NAME", in any order save that the name comes last; '_' between the parts is ignored. A
/// missing mb is 2, a missing iw is ih, a missing ih is id (where there is one), a missing eps is 1/16; ic there must
/// be. The quotes around the name may be missing, as shells remove them. `origin` says in the message where the text
/// came from. Throws ParseError.
Shape parse_problem(std::string_view origin, std::string_view text);

/// Whether the tensor has at most 2^63 - 1 bytes in any layout and type.
bool fits(const Shape& shape);

/// The descriptor with every size spelled out and without the name: equal shapes have equal descriptors.
std::string descriptor(const Shape& shape);

}  // namespace bench
