#include "types_and_post_ops.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "lists.hpp"

namespace bench {
namespace {

using xbn::ActivationKind;
using xbn::DataType;

constexpr std::array<std::string_view, 6> type_names{"f32", "f64", "bf16", "f16", "s8", "u8"};
constexpr std::array<std::string_view, 5> post_op_names{"relu", "logistic", "tanh", "swish", "clip"};
constexpr float default_bound = 6;

bool is_integer(DataType type) { return type == DataType::s8 || type == DataType::u8; }

std::vector<std::string_view> destinations_of(DataType source) {
  switch (source) {
    case DataType::f32:
      return {"f32", "bf16", "f16", "s8", "u8"};
    case DataType::f64:
      return {"f64"};
    case DataType::bf16:
      return {"bf16", "f32"};
    case DataType::f16:
      return {"f16", "f32"};
    default:
      return {"s8", "u8", "f32"};
  }
}

DataType type_named(std::string_view name) {
  return DataType(std::find(type_names.begin(), type_names.end(), name) - type_names.begin());
}

Types parse_types(std::string_view origin, std::string_view list, const Item& item) {
  const std::vector<Item> parts = split(item.text, ':');
  if (parts.size() > 2) {
    throw ParseError(origin, list, item.position + parts[2].position - 1,
                     "must be a type or a pair source:destination; was \"" + std::string(item.text) + '"');
  }
  const auto in_list = [&](const Item& part) { return Item{part.text, item.position + part.position}; };
  const auto source = DataType(parse_name(origin, list, in_list(parts[0]), type_names));
  if (parts.size() == 1) return {source, source};
  const std::vector<std::string_view> destinations = destinations_of(source);
  return {source, type_named(destinations[parse_name(origin, list, in_list(parts[1]), destinations)])};
}

std::string shortest(float value) {
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
}

/// One name with its parameters.
class PostOpParser {
 public:
  PostOpParser(std::string_view origin, std::string_view list, const Item& item)
      : origin_(origin), list_(list), parts_(split(item.text, ':')) {
    for (Item& part : parts_) part.position += item.position;
  }

  PostOp parse() {
    switch (parse_name(origin_, list_, parts_[0], post_op_names)) {
      case 0: {
        const float slope = parameter(1, 0);
        end_after(1);
        return slope == 0 ? PostOp{ActivationKind::relu} : PostOp{ActivationKind::leaky_relu, slope};
      }
      case 1:
        end_after(0);
        return {ActivationKind::sigmoid};
      case 2:
        end_after(0);
        return {ActivationKind::tanh};
      case 3:
        require(1, 1, "alpha must be 1, xbn's");
        end_after(1);
        return {ActivationKind::silu};
      default: {
        require(1, 0, "alpha, the lower bound, must be 0, xbn's");
        const float bound = parameter(2, default_bound);
        if (!(bound > 0)) fail(parts_[2], "beta, the upper bound, must be more than 0");
        end_after(2);
        return {ActivationKind::clipped_relu, bound};
      }
    }
  }

 private:
  [[noreturn]] void fail(const Item& part, const std::string& requirement) const {
    throw ParseError(origin_, list_, part.position, requirement + "; was \"" + std::string(part.text) + '"');
  }

  /// The one at `index`, or the default where there are not as many.
  float parameter(std::size_t index, float missing) const {
    if (index >= parts_.size()) return missing;
    const Item& part = parts_[index];
    const char* const end = part.text.data() + part.text.size();
    float value = 0;
    const auto [rest, error] = std::from_chars(part.text.data(), end, value);
    if (error != std::errc{} || rest != end || !std::isfinite(value)) fail(part, "must be a finite number");
    return value;
  }

  void require(std::size_t index, float only, const char* requirement) const {
    if (parameter(index, only) != only) fail(parts_[index], requirement);
  }

  void end_after(std::size_t parameters) const {
    if (parts_.size() <= parameters + 1) return;
    const std::string count = parameters == 0 ? "no parameter" : "at most " + std::to_string(parameters);
    fail(parts_[parameters + 1], std::string(parts_[0].text) + " must have " + count + ", and be the only operation");
  }

  std::string_view origin_;
  std::string_view list_;
  std::vector<Item> parts_;
};

}  // namespace

bool Types::integers() const { return is_integer(source) || is_integer(destination); }

DataType Types::parameters() const { return source == DataType::f64 ? DataType::f64 : DataType::f32; }

xbn::Activation activation(const PostOp& post_op) {
  xbn::Activation activation{post_op.kind};
  if (post_op.kind == ActivationKind::leaky_relu) activation.slope = post_op.parameter;
  if (post_op.kind == ActivationKind::clipped_relu) activation.bound = post_op.parameter;
  return activation;
}

std::string text(const Types& types) {
  const std::string source(type_names[static_cast<std::size_t>(types.source)]);
  if (types.source == types.destination) return source;
  return source + ':' + std::string(type_names[static_cast<std::size_t>(types.destination)]);
}

std::string text(const PostOp& post_op) {
  switch (post_op.kind) {
    case ActivationKind::none:
      return "";
    case ActivationKind::relu:
      return "relu";
    case ActivationKind::leaky_relu:
      return "relu:" + shortest(post_op.parameter);
    case ActivationKind::clipped_relu:
      return "clip:0:" + shortest(post_op.parameter);
    case ActivationKind::sigmoid:
      return "logistic";
    case ActivationKind::tanh:
      return "tanh";
    case ActivationKind::silu:
      break;
  }
  return "swish";
}

std::vector<Types> parse_data_types(std::string_view origin, std::string_view list) {
  std::vector<Types> types;
  for (const Item& item : split(list)) add_once(types, parse_types(origin, list, item));
  return types;
}

std::vector<PostOp> parse_post_ops(std::string_view origin, std::string_view list) {
  std::vector<PostOp> post_ops;
  for (const Item& item : split(list)) {
    add_once(post_ops, item.text.empty() ? PostOp{} : PostOpParser(origin, list, item).parse());
  }
  return post_ops;
}

}  // namespace bench
