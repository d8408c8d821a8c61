#include "validate.hpp"

#include <array>
#include <limits>
#include <string>

#include "call_memory.hpp"
#include "errors.hpp"
#include "nesting.hpp"

namespace xbn::internal {
namespace {

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();

void require_statistics(Statistics statistics) {
  if (statistics == Statistics::batch || statistics == Statistics::given) return;
  reject("statistics", "be batch or given", to_text(static_cast<std::int64_t>(statistics)));
}

void require_null(const char* name, const void* pointer, const char* condition) {
  if (pointer != nullptr) reject(name, std::string("be null where ") + condition, "not null");
}

void require_count(const char* name, std::int64_t count, std::int64_t least) {
  if (count < least) reject(name, "be at least " + to_text(least), to_text(count));
}

void require_sum(std::int64_t into, std::int64_t from) {
  require_count("into.count", into, 0);
  require_count("from.count", from, 0);
  if (from > max_int64 - into) {
    reject("from.count", "be at most " + to_text(max_int64 - into) + ", to be added to into.count", to_text(from));
  }
}

// Three outputs that are only useful together.
void written_together(CallMemory& memory, std::array<const char*, 3> names, std::array<const float*, 3> arrays) {
  if (arrays[0] == nullptr && arrays[1] == nullptr && arrays[2] == nullptr) return;
  for (std::size_t i = 0; i < 3; ++i) memory.written(names[i], arrays[i]);
}

}  // namespace

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
  dense_elements(problem.layout, problem.batch, problem.channels, problem.spatial);
  if (!(problem.epsilon >= 0 && problem.epsilon <= std::numeric_limits<double>::max())) {
    reject_member("epsilon", "be finite and at least 0", to_text(problem.epsilon));
  }
  if (problem.epsilon_placement != EpsilonPlacement::inside_root &&
      problem.epsilon_placement != EpsilonPlacement::outside_root) {
    reject_member("epsilon_placement", "be inside_root or outside_root",
                  to_text(static_cast<std::int64_t>(problem.epsilon_placement)));
  }
}

void validate(const Problem& problem, const ForwardTraining& args, std::size_t scratch_bytes) {
  if (problem.batch == 0 || problem.spatial == 0) {
    reject("problem.batch * problem.spatial", "be at least 1 for statistics over the batch",
           to_text(problem.batch) + " * " + to_text(problem.spatial));
  }
  CallMemory memory(problem);
  memory.read_tensor("x", args.x);
  memory.written_tensor("y", args.y);
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("beta", args.beta, Presence::optional);
  memory.written("mean", args.mean);
  memory.written("variance", args.variance);
  memory.running(args.running);
  memory.scratch(args.scratch, scratch_bytes);
}

void validate(const Problem& problem, const ForwardInference& args, std::size_t scratch_bytes) {
  CallMemory memory(problem);
  memory.read_tensor("x", args.x);
  memory.written_tensor("y", args.y);
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("beta", args.beta, Presence::optional);
  memory.read("mean", args.mean);
  memory.read("variance", args.variance);
  memory.scratch(args.scratch, scratch_bytes);
}

void validate(const Problem& problem, const ForwardFolded& args) {
  CallMemory memory(problem);
  memory.read_tensor("x", args.x);
  memory.written_tensor("y", args.y);
  memory.read("mean", args.mean, Presence::optional);
  memory.read("scale", args.scale);
  memory.read("shift", args.shift);
}

bool reads_x(const Backward& args) { return args.statistics == Statistics::batch || args.dgamma != nullptr; }

void validate(const Problem& problem, const Backward& args, std::size_t scratch_bytes) {
  require_statistics(args.statistics);
  CallMemory memory(problem);
  if (reads_x(args)) memory.read_tensor("x", args.x);
  memory.read_tensor("dy", args.dy);
  if (args.dx.data != nullptr) memory.written_tensor("dx", args.dx);
  memory.read("gamma", args.gamma, Presence::optional);
  if (reads_x(args)) memory.read("mean", args.mean);
  memory.read("variance", args.variance);
  memory.written("dgamma", args.dgamma, Presence::optional);
  memory.written("dbeta", args.dbeta, Presence::optional);
  memory.scratch(args.scratch, scratch_bytes);
}

void validate(const Problem& problem, const MomentsArgs& args, std::size_t scratch_bytes) {
  if (args.moments == nullptr) reject("moments", "not be null", "null");
  CallMemory memory(problem);
  memory.read_tensor("x", args.x);
  memory.written("moments.mean", args.moments->mean);
  memory.written("moments.m2", args.moments->m2);
  memory.scratch(args.scratch, scratch_bytes);
}

void validate(const Problem& problem, const Moments& into, const Moments& from) {
  require_sum(into.count, from.count);
  CallMemory memory(problem);
  if (from.count > 0) {
    memory.read("from.mean", from.mean);
    memory.read("from.m2", from.m2);
  }
  memory.written("into.mean", into.mean);
  memory.written("into.m2", into.m2);
}

void validate(const Problem& problem, const FinaliseArgs& args) {
  if (args.moments == nullptr) reject("moments", "not be null", "null");
  require_count("moments.count", args.moments->count, 1);
  CallMemory memory(problem);
  memory.read("moments.mean", args.moments->mean);
  memory.read("moments.m2", args.moments->m2);
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("beta", args.beta, Presence::optional);
  memory.written("variance", args.variance, Presence::optional);
  if (args.scale == nullptr && args.shift == nullptr) {
    memory.written("mean", args.mean, Presence::optional);
  } else {
    written_together(memory, {"mean", "scale", "shift"}, {args.mean, args.scale, args.shift});
  }
  memory.running(args.running);
}

void validate(const Problem& problem, const GradientSumsArgs& args, std::size_t scratch_bytes) {
  if (args.sums == nullptr) reject("sums", "not be null", "null");
  CallMemory memory(problem);
  memory.read_tensor("x", args.x);
  memory.read_tensor("dy", args.dy);
  memory.read("mean", args.mean);
  memory.written("sums.dy", args.sums->dy);
  memory.written("sums.dy_x", args.sums->dy_x);
  memory.written("sums.x", args.sums->x);
  memory.scratch(args.scratch, scratch_bytes);
}

void validate(const Problem& problem, const GradientSums& into, const GradientSums& from) {
  require_sum(into.count, from.count);
  CallMemory memory(problem);
  if (from.count > 0) {
    memory.read("from.dy", from.dy);
    memory.read("from.dy_x", from.dy_x);
    memory.read("from.x", from.x);
  }
  memory.written("into.dy", into.dy);
  memory.written("into.dy_x", into.dy_x);
  memory.written("into.x", into.x);
}

void validate(const Problem& problem, const FinaliseGradientArgs& args) {
  require_statistics(args.statistics);
  if (args.sums == nullptr) reject("sums", "not be null", "null");
  require_count("sums.count", args.sums->count, 0);
  CallMemory memory(problem);
  if (args.sums->count > 0) {
    memory.read("sums.dy", args.sums->dy);
    memory.read("sums.dy_x", args.sums->dy_x);
    memory.read("sums.x", args.sums->x);
  }
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("variance", args.variance);
  memory.written("dgamma", args.dgamma, Presence::optional);
  memory.written("dbeta", args.dbeta, Presence::optional);
  written_together(memory, {"a", "b", "c"}, {args.a, args.b, args.c});
}

void validate(const Problem& problem, const GradientApply& args) {
  CallMemory memory(problem);
  memory.read_tensor("dy", args.dy);
  memory.read("a", args.a);
  if (args.b == nullptr) {
    require_null("x", args.x.data, "b is null");
    require_null("mean", args.mean, "b is null");
    require_null("c", args.c, "b is null");
  } else {
    memory.read_tensor("x", args.x);
    memory.read("mean", args.mean);
    memory.read("b", args.b);
    memory.read("c", args.c);
  }
  memory.written_tensor("dx", args.dx);
}

Strides resolve(const Problem& problem, const Strides& strides) {
  return resolve_strides(problem.layout, nesting(problem.layout, problem.batch, problem.channels, problem.spatial),
                         strides);
}

}  // namespace xbn::internal
