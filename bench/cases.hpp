#pragma once

/// The cases of a run: problems x types x layouts x directions x flags x post-ops, under the names and values of
/// benchdnn's knobs.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "problem.hpp"
#include "types_and_post_ops.hpp"

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
  bool relu = false;              ///< R
  bool add_relu = false;          ///< A: a residual is added, then ReLU

  bool operator==(const Flags&) const = default;
};

struct Case {
  Shape shape{};
  Direction direction = Direction::fwd_d;
  Tag tag = Tag::abx;
  Flags flags{};
  Types types{};
  PostOp post_op{};

  bool backward() const { return direction == Direction::bwd_d || direction == Direction::bwd_dw; }
  /// Forward with batch statistics, which are then outputs.
  bool computes_statistics() const { return direction == Direction::fwd_d && !flags.given_statistics; }
  bool computes_dgamma() const { return direction == Direction::bwd_dw && flags.gamma; }
  bool computes_dbeta() const { return direction == Direction::bwd_dw && flags.beta; }
  /// What follows the normalization, be it a flag or a post-op.
  xbn::Activation activation() const;
  bool activated() const { return flags.relu || flags.add_relu || post_op.kind != xbn::ActivationKind::none; }
  /// Forward training with ReLU keeps a mask (oneDNN's workspace), which backward reads.
  bool has_mask() const { return (flags.relu || flags.add_relu) && direction != Direction::fwd_i; }
  /// Whether the operation cannot be done without the tensor x.
  bool needs_x() const {
    return !backward() || !flags.given_statistics || computes_dgamma() || (activated() && !has_mask());
  }
};

std::string_view name(Direction direction);
std::string_view name(Tag tag);
std::string text(const Flags& flags);
/// Flags and post-op, as tables show them: "CH relu:0.1".
std::string fusions_text(const Case& test_case);

/// Values of the knobs: comma-separated lists. Throw ParseError.
std::vector<Direction> parse_directions(std::string_view origin, std::string_view list);
std::vector<Tag> parse_tags(std::string_view origin, std::string_view list);
std::vector<Flags> parse_flags(std::string_view origin, std::string_view list);

/// A file of descriptors, one a line; '#' begins a comment outside a name's quotes. Throws ParseError with the line,
/// and std::invalid_argument where the file cannot be read.
std::vector<Shape> read_problems(const std::filesystem::path& file);

struct Knobs {
  std::vector<Shape> problems{};
  std::vector<Direction> directions{};
  std::vector<Tag> tags{};
  std::vector<Flags> flags{};
  std::vector<Types> types{Types{}};
  std::vector<PostOp> post_ops{PostOp{}};
  std::optional<std::int64_t> batch{};  ///< replaces every problem's
};

/// Every combination once, those of one problem, type and layout next to each other. Left out is what equals another: G
/// beside no G in forward inference, and for problems of rank 2, whose only layout is nc, axb beside abx. Left out is
/// also what there is not: blocked layouts of rank 2, s8 and u8 in anything but forward inference or with A, and a
/// post-op after R or A. Throws std::invalid_argument where the batch makes a tensor too large, or where nothing is
/// left.
std::vector<Case> expand(const Knobs& knobs);

}  // namespace bench
