#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>

#include "errors.hpp"
#include "nesting.hpp"
#include "validate.hpp"
#include "validate_activation.hpp"

namespace xbn::internal {
namespace {

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();

bool is_one_of(DataType type, std::initializer_list<DataType> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

template <class RejectMember>
void validate_types(const Problem& problem, const RejectMember& reject_member) {
  using enum DataType;
  const auto require_type = [&](const char* member, DataType type) {
    if (type >= f32 && type <= u8) return;
    reject_member(member, "be one of f32, f64, bf16, f16, s8, u8", to_text(static_cast<std::int64_t>(type)));
  };
  require_type("source", problem.source);
  require_type("destination", problem.destination);
  const auto require_destination = [&](std::initializer_list<DataType> types) {
    if (is_one_of(problem.destination, types)) return;
    std::string names;
    for (const DataType type : types) names.append(names.empty() ? "" : ", ").append(name(type));
    reject_member("destination",
                  "be " + std::string(types.size() > 1 ? "one of " : "") + names + " with source " +
                      std::string(name(problem.source)),
                  std::string(name(problem.destination)));
  };
  switch (problem.source) {
    case f32:
      return require_destination({f32, bf16, f16, s8, u8});
    case f64:
      return require_destination({f64});
    case bf16:
      return require_destination({bf16, f32});
    case f16:
      return require_destination({f16, f32});
    case s8:
    case u8:
      return require_destination({s8, u8, f32});
  }
}

template <class RejectMember>
void validate_fusions(const Problem& problem, const char* argument, const RejectMember& reject_member) {
  using enum ActivationKind;
  const Activation& activation = problem.activation;
  internal::validate(activation, std::string(argument) + ".activation");
  const bool integers = is_one_of(problem.source, {DataType::s8, DataType::u8}) ||
                        is_one_of(problem.destination, {DataType::s8, DataType::u8});
  if (integers && problem.residual) reject_member("residual", "be false with s8 and u8", "true");
  if (integers && problem.weights) reject_member("weights", "be false with s8 and u8", "true");
  if (!problem.backward_from_output) return;
  if (integers) reject_member("backward_from_output", "be false with s8 and u8", "true");
  if (problem.residual) reject_member("residual", "be false with backward_from_output", "true");
  if (problem.source != problem.destination) {
    reject_member("destination", "be the source's type with backward_from_output",
                  std::string(name(problem.destination)));
  }
  if (activation.kind == relu || activation.kind == clipped_relu || activation.kind == silu) {
    reject_member("activation.kind", "have an inverse (none, leaky_relu, sigmoid, tanh) with backward_from_output",
                  std::string(name(activation.kind)));
  }
  if (activation.kind == leaky_relu && !(activation.slope > 0)) {
    reject_member("activation.slope", "be more than 0 with backward_from_output", to_text(double{activation.slope}));
  }
}

}  // namespace

bool is_plain(const Problem& problem) {
  return problem.source == DataType::f32 && problem.destination == DataType::f32 &&
         problem.activation.kind == ActivationKind::none && !problem.residual && !problem.backward_from_output &&
         !problem.lengths && !problem.weights;
}

std::size_t mask_bytes(const Problem& problem) {
  const Nesting nest = nesting(problem.layout, problem.batch, problem.channels, problem.spatial);
  const std::int64_t run_bytes = nest.run / 8 + (nest.run % 8 != 0);
  return static_cast<std::size_t>(nest.batch * nest.planes * nest.positions * run_bytes);
}

void validate(const Problem& problem, const char* argument) {
  const auto reject_member = [&](const char* member, const std::string& requirement, const std::string& found) {
    reject(std::string(argument) + "." + member, requirement, found);
  };
  const auto require_least = [&](const char* member, std::int64_t found, std::int64_t least) {
    if (found < least) reject_member(member, "be at least " + to_text(least), to_text(found));
  };
  if (problem.layout < Layout::nc || problem.layout > Layout::nCx16c) {
    reject_member("layout", "be one of nc, ncx, nxc, nCx8c, nCx16c",
                  to_text(static_cast<std::int64_t>(problem.layout)));
  }
  require_least("batch", problem.batch, 0);
  require_least("channels", problem.channels, 1);
  require_least("spatial", problem.spatial, 0);
  if (problem.layout == Layout::nc && problem.spatial != 1) {
    reject_member("spatial", "be 1 in layout nc", to_text(problem.spatial));
  }
  constexpr std::int64_t max_channels = max_int64 / std::int64_t{sizeof(double)};
  if (problem.channels > max_channels) {
    reject_member("channels", "be at most " + to_text(max_channels), to_text(problem.channels));
  }
  const std::int64_t elements = dense_elements(problem.layout, problem.batch, problem.channels, problem.spatial);
  constexpr std::int64_t max_elements = max_int64 / std::int64_t{sizeof(double)};
  if (problem.source == DataType::f64 && elements > max_elements) {
    reject_member("batch * channels * spatial", "take at most 2^63 - 1 bytes", to_text(elements) + " elements of f64");
  }
  if (!(problem.epsilon >= 0 && problem.epsilon <= std::numeric_limits<double>::max())) {
    reject_member("epsilon", "be finite and at least 0", to_text(problem.epsilon));
  }
  if (problem.epsilon_placement != EpsilonPlacement::inside_root &&
      problem.epsilon_placement != EpsilonPlacement::outside_root) {
    reject_member("epsilon_placement", "be inside_root or outside_root",
                  to_text(static_cast<std::int64_t>(problem.epsilon_placement)));
  }
  validate_types(problem, reject_member);
  validate_fusions(problem, argument, reject_member);
}

}  // namespace xbn::internal
