/// xbn_slabs: what the size of slabs does to speed. Slabs of channels are as large as the caches that the plan is told
/// of allow; here it is told of others than the machine has. Results are the same whatever it is told.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "json_file.hpp"
#include "self_comparison.hpp"
#include "worker/entry.hpp"
#include "worker/measure.hpp"

namespace {

using bench::Case;
using bench::Times;

constexpr std::size_t kibibyte = 1024, mebibyte = 1024 * kibibyte;

struct Settings {
  bench::SelfComparison common{
      {"mb50ic256ih56", "mb50ic512ih28", "mb50ic1024ih14", "mb4ic256ih28"}, "FWD_D,BWD_DW", "abx,aBx16b", 5};
  std::vector<std::size_t> shared{1, 2, 4, 8, 16, 32, 64, 128};             ///< MB
  std::vector<std::size_t> own{64, 128, 256, 512, 1024, 2048, 4096, 8192};  ///< KB
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
    told.push_back({"private", size * kibibyte, {size * kibibyte, detected.shared_bytes, detected.likely_bytes}});
  }
  return told;
}

std::string with_unit(std::size_t bytes) {
  return bytes < mebibyte ? std::to_string(bytes / kibibyte) + " KB" : std::to_string(bytes / mebibyte) + " MB";
}

void print_header(const std::vector<Told>& told) {
  const xbn::CacheSizes detected = xbn::detected_cache_sizes();
  std::printf(
      "Detected: private %s, shared %s, likely %s. Times by that with the detected sizes; the plan is told of\n",
      with_unit(detected.private_bytes).c_str(), with_unit(detected.shared_bytes).c_str(),
      with_unit(detected.likely_bytes).c_str());
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
  const std::vector<Times> times = bench::measure(contenders, settings.common.repetitions);

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
                    {"threads", settings.common.threads},
                    {"cache", told[i].cache},
                    {"bytes", told[i].bytes},
                    {"detected_private_bytes", xbn::detected_cache_sizes().private_bytes},
                    {"detected_shared_bytes", xbn::detected_cache_sizes().shared_bytes},
                    {"detected_likely_bytes", xbn::detected_cache_sizes().likely_bytes},
                    {"detected_us", 1e6 * bench::median(times[0])},
                    {"ratio", ratio}});
  }
  std::printf("\n");
  std::fflush(stdout);
}

void run_all(const Settings& settings) {
  const std::vector<Case> cases = settings.common.cases();
  const std::vector<Told> told = all_told(settings);
  std::ofstream json = bench::open_json(settings.json);
  nlohmann::json rows = nlohmann::json::array();
  print_header(told);
  settings.common.on_threads([&] {
    for (const Case& one : cases) run(one, told, settings, rows);
  });
  if (!json.is_open()) return;
  json << rows.dump(1) << '\n';
  json.close();
  if (!json) throw std::runtime_error("--json: '" + settings.json + "' could not be written");
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Times xbn when its plan is told of caches of other sizes than the machine's.", "xbn_slabs");
  settings.common.add_options(app);
  const auto sizes = [&](const char* option, std::vector<std::size_t>& into, const char* what) {
    constexpr std::size_t most = 1024 * 1024;

    app.add_option(option, into, what)->delimiter(',')->capture_default_str()->check(CLI::Range(std::size_t{1}, most));
  };
  sizes("--shared", settings.shared, "sizes in MB of the last-level cache");
  sizes("--private", settings.own, "sizes in KB of a core's own cache");
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
