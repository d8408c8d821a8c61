#include "self_comparison.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <thread>

namespace bench {

int SelfComparison::all_threads() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

void SelfComparison::add_options(CLI::App& app) {
  app.add_option("problem", problems, "problem descriptors, as compare has them")->capture_default_str();
  app.add_option("--dir", dir, "directions: FWD_D, FWD_I, BWD_D, BWD_DW")->capture_default_str();
  app.add_option("--tag", tag, "layouts: abx, axb, aBx8b, aBx16b")->capture_default_str();
  app.add_option("--threads", threads, "threads")->capture_default_str()->check(CLI::Range(1, 4096));
  app.add_option("--repetitions", repetitions, "interleaved repetitions of each measurement")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
}

std::vector<Case> SelfComparison::cases() const {
  const std::vector<Direction> directions = parse_directions("--dir", dir);
  const std::vector<Tag> tags = parse_tags("--tag", tag);
  std::vector<Case> result;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const Shape shape = parse_problem("problem " + std::to_string(i + 1), problems[i]);
    for (const Tag one_tag : tags) {
      for (const Direction direction : directions) {
        result.push_back({shape, direction, one_tag, {direction == Direction::fwd_i, true, true}, {}, {}});
      }
    }
  }
  return result;
}

void SelfComparison::on_threads(const std::function<void()>& body) const {
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  tbb::task_arena arena(threads);
  arena.execute(body);
}

}  // namespace bench
