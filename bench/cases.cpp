#include "cases.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <span>

#include "lists.hpp"

namespace bench {
namespace {

constexpr std::array<std::string_view, 4> direction_names{"FWD_D", "FWD_I", "BWD_D", "BWD_DW"};
constexpr std::array<std::string_view, 4> tag_names{"abx", "axb", "aBx8b", "aBx16b"};

/// The indices of the list's items among `names`.
std::vector<std::size_t> parse_names(std::string_view origin, std::string_view list,
                                     std::span<const std::string_view> names) {
  std::vector<std::size_t> indices;
  for (const Item& item : split(list)) indices.push_back(parse_name(origin, list, item, names));
  return indices;
}

Flags parse_flag_letters(std::string_view origin, std::string_view list, const Item& item) {
  Flags flags;
  for (std::size_t i = 0; i < item.text.size(); ++i) {
    const char letter = item.text[i];
    if (letter == 'G') {
      flags.given_statistics = true;
    } else if (letter == 'C') {
      flags.gamma = true;
    } else if (letter == 'H') {
      flags.beta = true;
    } else if (letter == 'S') {
      flags.gamma = flags.beta = true;
    } else if (letter == 'R') {
      flags.relu = true;
    } else if (letter == 'A') {
      flags.add_relu = true;
    } else {
      throw ParseError(origin, list, item.position + i,
                       std::string("must be G, C, H, S, R or A; was \"") + letter + '"');
    }
    if (flags.relu && flags.add_relu) {
      throw ParseError(origin, list, item.position + i, std::string("must be R or A; was both"));
    }
  }
  return flags;
}

/// The line without comment and surrounding blanks.
std::string_view descriptor_of_line(std::string_view line) {
  bool in_name = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') in_name = !in_name;
    if (line[i] == '#' && !in_name) {
      line = line.substr(0, i);
      break;
    }
  }
  constexpr std::string_view blanks = " \t\r";
  const std::size_t first = line.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(blanks) - first + 1);
}

std::vector<Tag> tags_of_rank(const std::vector<Tag>& tags, int rank) {
  std::vector<Tag> distinct;
  for (const Tag tag : tags) {
    if (rank > 2) {
      add_once(distinct, tag);
    } else if (tag == Tag::abx || tag == Tag::axb) {
      add_once(distinct, Tag::abx);
    }
  }
  return distinct;
}

std::vector<Flags> flags_of_direction(const std::vector<Flags>& flags, Direction direction) {
  std::vector<Flags> distinct;
  for (Flags value : flags) {
    if (direction == Direction::fwd_i) value.given_statistics = true;
    add_once(distinct, value);
  }
  return distinct;
}

/// Whether xbn, and benchdnn's syntax, have it.
bool exists(const Case& test_case) {
  const Flags& flags = test_case.flags;
  if (test_case.types.integers() && (test_case.direction != Direction::fwd_i || flags.add_relu)) return false;
  return test_case.post_op.kind == xbn::ActivationKind::none || !(flags.relu || flags.add_relu);
}

void add_cases(const Knobs& knobs, Case test_case, std::vector<Case>& cases) {
  for (const Direction direction : knobs.directions) {
    for (const Flags& flags : flags_of_direction(knobs.flags, direction)) {
      for (const PostOp& post_op : knobs.post_ops) {
        test_case.direction = direction;
        test_case.flags = flags;
        test_case.post_op = post_op;
        if (exists(test_case)) cases.push_back(test_case);
      }
    }
  }
}

}  // namespace

xbn::Activation Case::activation() const {
  return flags.relu || flags.add_relu ? xbn::Activation::relu() : bench::activation(post_op);
}

std::string_view name(Direction direction) { return direction_names[static_cast<std::size_t>(direction)]; }

std::string_view name(Tag tag) { return tag_names[static_cast<std::size_t>(tag)]; }

std::string text(const Flags& flags) {
  return std::string(flags.given_statistics ? "G" : "") + (flags.gamma ? "C" : "") + (flags.beta ? "H" : "") +
         (flags.relu ? "R" : "") + (flags.add_relu ? "A" : "");
}

std::string fusions_text(const Case& test_case) {
  const std::string post_op = text(test_case.post_op);
  return text(test_case.flags) + (post_op.empty() ? "" : ' ' + post_op);
}

std::vector<Direction> parse_directions(std::string_view origin, std::string_view list) {
  std::vector<Direction> directions;
  for (const std::size_t i : parse_names(origin, list, direction_names)) add_once(directions, Direction(i));
  return directions;
}

std::vector<Tag> parse_tags(std::string_view origin, std::string_view list) {
  std::vector<Tag> tags;
  for (const std::size_t i : parse_names(origin, list, tag_names)) add_once(tags, Tag(i));
  return tags;
}

std::vector<Flags> parse_flags(std::string_view origin, std::string_view list) {
  std::vector<Flags> flags;
  for (const Item& item : split(list)) add_once(flags, parse_flag_letters(origin, list, item));
  return flags;
}

std::vector<Shape> read_problems(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (!stream) throw std::invalid_argument("--batch: must be a file that can be read; was \"" + file.string() + '"');
  std::vector<Shape> problems;
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    const std::string_view text = descriptor_of_line(line);
    if (!text.empty()) problems.push_back(parse_problem(file.string() + ':' + std::to_string(number), text));
  }
  return problems;
}

std::vector<Case> expand(const Knobs& knobs) {
  std::vector<Case> cases;
  for (Shape shape : knobs.problems) {
    if (knobs.batch) shape.batch = *knobs.batch;
    if (!fits(shape)) {
      throw std::invalid_argument("--mb: must leave tensors of at most 2^63 - 1 bytes; makes " + descriptor(shape) +
                                  " larger");
    }
    for (const Types& types : knobs.types) {
      for (const Tag tag : tags_of_rank(knobs.tags, shape.rank))
        add_cases(knobs, {shape, {}, tag, {}, types, {}}, cases);
    }
  }
  if (cases.empty())
    throw std::invalid_argument(
        "nothing to run: there is no combination of these problems, types, layouts, directions, flags and post-ops");
  return cases;
}

}  // namespace bench
