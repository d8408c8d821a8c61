#pragma once

/// The cases of a run: problems x directions x layouts x flags, under the names and values of benchdnn's knobs.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "problem.hpp"

namespace bench {

enum class Direction {
  fwd_d,   ///< forward training
  fwd_i,   ///< forward inference, always with given statistics
  bwd_d,   ///< backward, dx alone
  bwd_dw,  ///< backward, dx and the gradients of those of gamma and beta that the flags ask for
};

enum class Tag { abx, axb, aBx8b, aBx16b };

struct Flags {
  bool given_statistics = false;  ///< G
  bool gamma = false;             ///< C
  bool beta = false;              ///< H

  bool operator==(const Flags&) const = default;
};

struct Case {
  Shape shape{};
  Direction direction = Direction::fwd_d;
  Tag tag = Tag::abx;
  Flags flags{};

  bool backward() const { return direction == Direction::bwd_d || direction == Direction::bwd_dw; }
  /// Forward with batch statistics, which are then outputs.
  bool computes_statistics() const { return direction == Direction::fwd_d && !flags.given_statistics; }
  bool computes_dgamma() const { return direction == Direction::bwd_dw && flags.gamma; }
  bool computes_dbeta() const { return direction == Direction::bwd_dw && flags.beta; }
  /// Whether the operation can be done without the tensor x.
  bool needs_x() const { return !backward() || !flags.given_statistics || computes_dgamma(); }
};

std::string_view name(Direction direction);
std::string_view name(Tag tag);
std::string text(const Flags& flags);

/// Values of the knobs: comma-separated lists. Throw ParseError.
std::vector<Direction> parse_directions(std::string_view origin, std::string_view list);
std::vector<Tag> parse_tags(std::string_view origin, std::string_view list);
std::vector<Flags> parse_flags(std::string_view origin, std::string_view list);
void parse_data_types(std::string_view origin, std::string_view list);

/// A file of descriptors, one a line; '#' begins a comment outside a name's quotes. Throws ParseError with the line,
/// and std::invalid_argument where the file cannot be read.
std::vector<Shape> read_problems(const std::filesystem::path& file);

struct Knobs {
  std::vector<Shape> problems{};
  std::vector<Direction> directions{};
  std::vector<Tag> tags{};
  std::vector<Flags> flags{};
  std::optional<std::int64_t> batch{};  ///< replaces every problem's
};

/// Every combination once, those of one problem and layout next to each other. Left out is what equals another: G
/// beside no G in forward inference, and for problems of rank 2, whose only layout is nc, axb beside abx. Rank 2 has no
/// blocked layout. Throws std::invalid_argument where the batch makes a tensor too large, or where nothing is left.
std::vector<Case> expand(const Knobs& knobs);

}  // namespace bench
