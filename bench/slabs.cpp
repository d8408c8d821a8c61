/// xbn_slabs: what the size of slabs does to speed. Slabs of channels are as large as the caches that the plan is told
/// of allow; here it is told of others than the machine has. Results are the same whatever it is told.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <thread>

#include "worker/entry.hpp"
#include "worker/measure.hpp"

namespace {

using bench::Case;
using bench::Times;

constexpr std::size_t kibibyte = 1024, mebibyte = 1024 * kibibyte;

struct Settings {
  std::vector<std::string> problems{"mb50ic256ih56", "mb50ic512ih28", "mb50ic1024ih14", "mb4ic256ih28"};
  std::string dir = "FWD_D,BWD_DW";
  std::string tag = "abx,aBx16b";
  std::vector<std::size_t> shared{1, 2, 4, 8, 16, 32, 64, 128};             ///< MB
  std::vector<std::size_t> own{64, 128, 256, 512, 1024, 2048, 4096, 8192};  ///< KB
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  int repetitions = 5;
  std::string json;
};

/// What the plan is told, and which of its two sizes that varies.
struct Told {
  const char* cache;
  std::size_t bytes;
  xbn::CacheSizes sizes;
};

std::vector<Told> all_told(const Settings& settings) {
  const xbn::CacheSizes detected = xbn::detected_cache_sizes();
  std::vector<Told> told;
  for (const std::size_t size : settings.shared) {
    told.push_back({"shared", size * mebibyte, {detected.private_bytes, size * mebibyte}});
  }
  for (const std::size_t size : settings.own) {
    told.push_back({"private", size * kibibyte, {size * kibibyte, detected.shared_bytes}});
  }
  return told;
}

std::string with_unit(std::size_t bytes) {
  return bytes < mebibyte ? std::to_string(bytes / kibibyte) + " KB" : std::to_string(bytes / mebibyte) + " MB";
}

void print_header(const std::vector<Told>& told) {
  const xbn::CacheSizes detected = xbn::detected_cache_sizes();
  std::printf("Detected: private %s, shared %s. Times by that with the detected sizes; the plan is told of\n",
              with_unit(detected.private_bytes).c_str(), with_unit(detected.shared_bytes).c_str());
  std::printf("%-24s %-6s %-6s %10s", "problem", "dir", "tag", "us");
  const char* cache = "";
  for (const Told& one : told) {
    if (std::strcmp(cache, one.cache) != 0) std::printf("  %s:", cache = one.cache);
    std::printf(" %6s", with_unit(one.bytes).c_str());
  }
  std::printf("\n");
}

void run(const Case& test_case, const std::vector<Told>& told, const Settings& settings, nlohmann::json& rows) {
  bench::PreparedData data;
  std::vector<bench::Entry> entries;
  entries.push_back(bench::entry<bench::XbnContender>(data, test_case, "detected sizes"));
  for (const Told& one : told) {
    entries.push_back(bench::entry<bench::XbnContender>(data, test_case, one.cache, xbn::Options{nullptr, one.sizes}));
  }
  std::vector<bench::Contender*> contenders;
  for (const bench::Entry& one : entries) contenders.push_back(one.contender.get());
  const std::vector<Times> times = bench::measure(contenders, settings.repetitions);

  const std::string problem = bench::descriptor(test_case.shape), dir{name(test_case.direction)},
                    tag{name(test_case.tag)};
  std::printf("%-24s %-6s %-6s %10.1f", problem.c_str(), dir.c_str(), tag.c_str(), 1e6 * bench::median(times[0]));
  const char* cache = "";
  for (std::size_t i = 0; i < told.size(); ++i) {
    if (std::strcmp(cache, told[i].cache) != 0) std::printf("  %*s ", static_cast<int>(std::strlen(told[i].cache)), "");
    cache = told[i].cache;
    const double ratio = bench::median(bench::ratios(times[i + 1], times[0]));
    std::printf(" %6.2f", ratio);
    rows.push_back({{"problem", problem},
                    {"dir", dir},
                    {"tag", tag},
                    {"threads", settings.threads},
                    {"cache", told[i].cache},
                    {"bytes", told[i].bytes},
                    {"detected_private_bytes", xbn::detected_cache_sizes().private_bytes},
                    {"detected_shared_bytes", xbn::detected_cache_sizes().shared_bytes},
                    {"detected_us", 1e6 * bench::median(times[0])},
                    {"ratio", ratio}});
  }
  std::printf("\n");
  std::fflush(stdout);
}

void run_all(const Settings& settings) {
  std::vector<bench::Shape> shapes;
  for (std::size_t i = 0; i < settings.problems.size(); ++i) {
    shapes.push_back(bench::parse_problem("problem " + std::to_string(i + 1), settings.problems[i]));
  }
  const std::vector<bench::Direction> directions = bench::parse_directions("--dir", settings.dir);
  const std::vector<bench::Tag> tags = bench::parse_tags("--tag", settings.tag);
  const std::vector<Told> told = all_told(settings);
  std::ofstream json;
  if (!settings.json.empty()) {
    json.open(settings.json);
    if (!json) throw std::runtime_error("--json: must be a file that can be written; was '" + settings.json + "'");
  }
  nlohmann::json rows = nlohmann::json::array();
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(settings.threads));
  tbb::task_arena arena(settings.threads);
  arena.execute([&] {
    print_header(told);
    for (const bench::Shape& shape : shapes) {
      for (const bench::Tag tag : tags) {
        for (const bench::Direction direction : directions) {
          const bool inference = direction == bench::Direction::fwd_i;
          run({shape, direction, tag, {inference, true, true}, {}, {}}, told, settings, rows);
        }
      }
    }
  });
  if (settings.json.empty()) return;
  json << rows.dump(1) << '\n';
  json.close();
  if (!json) throw std::runtime_error("--json: '" + settings.json + "' could not be written");
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Times xbn when its plan is told of caches of other sizes than the machine's.", "xbn_slabs");
  app.add_option("problem", settings.problems, "problem descriptors, as compare has them")->capture_default_str();
  app.add_option("--dir", settings.dir, "directions: FWD_D, FWD_I, BWD_D, BWD_DW")->capture_default_str();
  app.add_option("--tag", settings.tag, "layouts: abx, axb, aBx8b, aBx16b")->capture_default_str();
  const auto sizes = [&](const char* option, std::vector<std::size_t>& into, const char* what, std::size_t most) {
    app.add_option(option, into, what)->delimiter(',')->capture_default_str()->check(CLI::Range(std::size_t{1}, most));
  };
  sizes("--shared", settings.shared, "sizes in MB of the last-level cache", 1024 * 1024);
  sizes("--private", settings.own, "sizes in KB of a core's own cache", 1024 * 1024);
  app.add_option("--threads", settings.threads, "threads")->capture_default_str()->check(CLI::Range(1, 4096));
  app.add_option("--repetitions", settings.repetitions, "interleaved repetitions of each measurement")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--json", settings.json, "file to write the results to, an array of objects");
  CLI11_PARSE(app, argc, argv);
  try {
    run_all(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
