/// xbn_fusions: what a fused operation costs more than the plain one, what it saves against separate calls, and what
/// half-precision tensors do, on tensors larger than the cache.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "self_comparison.hpp"
#include "separate_calls.hpp"
#include "worker/entry.hpp"
#include "worker/limit.hpp"
#include "worker/measure.hpp"

namespace {

using bench::Case;
using bench::Direction;
using bench::entry;
using bench::Entry;
using bench::median;
using bench::ratios;
using bench::Tag;
using bench::Times;

/// Bytes an element that a case moves at least, where it reads `readings` times what it takes sums of.
double bytes_of(const Case& test_case, double readings) {
  const double width = static_cast<double>(xbn::size_of(test_case.types.source));
  const double mask = test_case.has_mask() ? 1.0 / 8 : 0, added = test_case.flags.add_relu ? width : 0;
  if (test_case.backward()) return readings * (2 * width + mask) + width + added;
  return readings * width + added + width + mask;
}

/// Where channels are last no slab of them fits the cache, and what the sums have read is read again.
double readings_of(const Case& test_case) {
  return test_case.direction != Direction::fwd_i && test_case.tag == Tag::axb ? 2 : 1;
}

std::string title(const bench::Shape& shape) { return shape.name.empty() ? descriptor(shape) : shape.name; }

/// The median of `ratio`, and whether that is beyond the goal.
void print_ratio(const Times& ratio, double goal, bool at_most) {
  const double value = median(ratio);
  std::printf(" %7.2f%s", value, (at_most ? value > goal : value < goal) ? "!" : " ");
}

void print_header(int width) {
  std::printf(
      "relu, add: time by the plain one's, scaled by the bytes that both move (goal: at most 1.05); limit:\n"
      "what add has where memory streams the bytes of each as fast as it can; separate: batch norm, add and ReLU\n"
      "in a call each by all in one (goal: at least 1.6); bf16, f16: time by that of f32, plain (at most 0.6), and\n"
      "so with ReLU. ! marks what misses its goal.\n\n");
  std::printf("%-*s %-6s %-6s %10s %8s %8s %8s %8s %8s %8s %9s %8s\n", width, "problem", "dir", "tag", "plain us",
              "relu", "add", "limit", "separate", "bf16", "f16", "bf16 relu", "f16 relu");
}

void run(const Case& plain, int repetitions, int width) {
  constexpr double most_of_plain = 1.05, least_of_separate = 1.6, most_of_f32 = 0.6;
  using xbn::DataType;
  Case relu = plain, add = plain;
  relu.flags.relu = true;
  add.flags.add_relu = true;
  const auto in = [](Case test_case, DataType type) {
    test_case.types = {type, type};
    return test_case;
  };

  // The case with most tensors comes first: those after it then move none.
  bench::PreparedData f32, bf16, f16;
  std::vector<Entry> entries;
  entries.push_back(entry<bench::XbnContender>(f32, add, "add"));
  entries.push_back(entry<bench::SeparateCalls>(f32, add, "separate"));
  entries.push_back(entry<bench::XbnContender>(f32, relu, "relu"));
  entries.push_back(entry<bench::XbnContender>(f32, plain, "plain"));
  entries.push_back(entry<bench::XbnContender>(bf16, in(relu, DataType::bf16), "bf16 relu"));
  entries.push_back(entry<bench::XbnContender>(bf16, in(plain, DataType::bf16), "bf16"));
  entries.push_back(entry<bench::XbnContender>(f16, in(relu, DataType::f16), "f16 relu"));
  entries.push_back(entry<bench::XbnContender>(f16, in(plain, DataType::f16), "f16"));
  // On tensors as the contenders have them; nothing is checked after this.
  const auto limit_of = [&](const Case& test_case) {
    return bench::fastest_stream(test_case, f32.prepare(test_case, bench::Data::exact));
  };
  const std::unique_ptr<bench::Contender> add_limit = limit_of(add), plain_limit = limit_of(plain);
  std::vector<bench::Contender*> contenders;
  for (const Entry& one : entries) contenders.push_back(one.contender.get());
  contenders.push_back(add_limit.get());
  contenders.push_back(plain_limit.get());
  const std::vector<Times> times = bench::measure(contenders, repetitions);
  const Times &of_add = times[0], &of_separate = times[1], &of_relu = times[2], &of_plain = times[3];
  const Times &of_add_limit = times[8], &of_plain_limit = times[9];

  const auto scaled = [&](Times ratio, const Case& test_case, double readings) {
    for (double& one : ratio) one *= bytes_of(plain, readings) / bytes_of(test_case, readings);
    return ratio;
  };
  std::printf("%-*s %-6s %-6s %10.1f", width, title(plain.shape).c_str(), std::string(name(plain.direction)).c_str(),
              std::string(name(plain.tag)).c_str(), 1e6 * median(of_plain));
  print_ratio(scaled(ratios(of_relu, of_plain), relu, readings_of(plain)), most_of_plain, true);
  print_ratio(scaled(ratios(of_add, of_plain), add, readings_of(plain)), most_of_plain, true);
  std::printf(" %7.2f ", median(scaled(ratios(of_add_limit, of_plain_limit), add, 1)));
  print_ratio(ratios(of_separate, of_add), least_of_separate, false);
  print_ratio(ratios(times[5], of_plain), most_of_f32, true);
  print_ratio(ratios(times[7], of_plain), most_of_f32, true);
  std::printf(" ");
  print_ratio(ratios(times[4], of_relu), most_of_f32, true);
  print_ratio(ratios(times[6], of_relu), most_of_f32, true);
  std::printf("\n");
  std::fflush(stdout);
}

void run_all(const bench::SelfComparison& settings) {
  const std::vector<Case> cases = settings.cases();
  std::size_t width = 7;
  for (const Case& plain : cases) width = std::max(width, title(plain.shape).size());
  print_header(static_cast<int>(width));
  settings.on_threads([&] {
    for (const Case& plain : cases) run(plain, settings.repetitions, static_cast<int>(width));
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::SelfComparison settings{
      {"mb50ic64ih112n\"resnet_50:conv1\"", "mb50ic256ih56n\"256x56x56\"", "mb50ic512ih28n\"512x28x28\""},
      "FWD_D,FWD_I,BWD_DW",
      "abx,axb,aBx16b",
      7};
  CLI::App app("Times fused operations against plain and separate ones, and bf16 and f16 against f32.", "xbn_fusions");
  settings.add_options(app);
  CLI11_PARSE(app, argc, argv);
  try {
    run_all(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
