#include <array>
#include <limits>
#include <string>

#include "call_memory.hpp"
#include "requirements.hpp"
#include "validate.hpp"

namespace xbn::internal {
namespace {

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();

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

void require_plain(const Problem& problem) {
  if (is_plain(problem)) return;
  reject("problem",
         "be of f32, without activation, residual, backward_from_output, lengths and weights, for the phases",
         "another");
}

}  // namespace

void validate(const Problem& problem, const MomentsArgs& args, std::size_t scratch_bytes) {
  require_plain(problem);
  if (args.moments == nullptr) reject("moments", "not be null", "null");
  CallMemory memory(problem);
  memory.read_tensor("x", args.x);
  memory.written("moments.mean", args.moments->mean);
  memory.written("moments.m2", args.moments->m2);
  memory.scratch(args.scratch, scratch_bytes);
}

void validate(const Problem& problem, const Moments& into, const Moments& from) {
  require_plain(problem);
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
  require_plain(problem);
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
  require_plain(problem);
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
  require_plain(problem);
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
  require_plain(problem);
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
  require_plain(problem);
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

}  // namespace xbn::internal
