#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <set>

#include "protocol.hpp"

namespace bench {
namespace {

bool counts(const Row& row) {
  return row.error.empty() && !row.measurement.unimplemented() && !row.measurement.reference_code();
}

/// Of the rows that count and for which `belongs` holds; 0 where there is none.
double geometric_mean(const std::vector<Row>& rows, const std::function<bool(const Case&)>& belongs) {
  double sum_of_logarithms = 0;
  int count = 0;
  for (const Row& row : rows) {
    if (!counts(row) || !belongs(row.test_case)) continue;
    sum_of_logarithms += std::log(row.measurement.ratio);
    ++count;
  }
  return count > 0 ? std::exp(sum_of_logarithms / count) : 0;
}

/// What is computed, apart from direction and layout: "bf16 CHR".
std::string variant(const Case& test_case) { return text(test_case.types) + ' ' + fusions_text(test_case); }

void print_mean(std::string_view group, double mean) {
  if (mean > 0) std::printf("  %s %.2f", std::string(group).c_str(), mean);
}

}  // namespace

std::string label(const Shape& shape) { return shape.name.empty() ? descriptor(shape) : shape.name; }

Widths widths_of(const std::vector<Case>& cases) {
  std::size_t label_width = std::string_view("problem").size();
  std::size_t types_width = std::string_view("f32").size();
  std::size_t fusions_width = std::string_view("flags").size();
  for (const Case& test_case : cases) {
    label_width = std::max(label_width, label(test_case.shape).size());
    types_width = std::max(types_width, text(test_case.types).size());
    fusions_width = std::max(fusions_width, fusions_text(test_case).size());
  }
  return {static_cast<int>(label_width), static_cast<int>(types_width), static_cast<int>(fusions_width)};
}

namespace {

std::string columns(const Widths& widths, const std::string& problem, std::string_view direction,
                    const std::string& types, std::string_view tag, const std::string& fusions) {
  char text[512];
  std::snprintf(text, sizeof text, "%-*s %-6s %-*s %-6s %-*s", widths.label, problem.c_str(),
                std::string(direction).c_str(), widths.types, types.c_str(), std::string(tag).c_str(), widths.fusions,
                fusions.c_str());
  return text;
}

}  // namespace

std::string case_header(const Widths& widths) { return columns(widths, "problem", "dir", "dt", "tag", "flags"); }

std::string case_columns(const Case& test_case, const Widths& widths) {
  return columns(widths, label(test_case.shape), name(test_case.direction), text(test_case.types), name(test_case.tag),
                 fusions_text(test_case));
}

std::string processor() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

void print_table_header(const Widths& widths) {
  std::printf("%s %10s %10s %-6s %-31s %5s %-14s %6s %6s\n", case_header(widths).c_str(), "xbn us", "oneDNN us",
              "oneDNN", "implementation", "ratio", "(min to max)", "xbn", "oneDNN");
}

void print_row(const Row& row, const Widths& widths) {
  std::printf("%s ", case_columns(row.test_case, widths).c_str());
  if (!row.error.empty()) {
    std::printf("FAILED: %s\n", row.error.c_str());
    return;
  }
  const Measurement& m = row.measurement;
  if (m.unimplemented()) {
    std::printf("%10.1f %10s %-6s %-31s %5s %-14s %5.0f%% %6s\n", m.xbn_us, "-", m.onednn.c_str(),
                m.implementation.c_str(), "-", "", 100 * m.limit_us / m.xbn_us, "-");
    return;
  }
  char spread[32];
  std::snprintf(spread, sizeof spread, "(%.2f to %.2f)", m.ratio_min, m.ratio_max);
  std::printf("%10.1f %10.1f %-6s %-31s %5.2f %-14s %5.0f%% %5.0f%%%s%s\n", m.xbn_us, m.onednn_us, m.onednn.c_str(),
              m.implementation.c_str(), m.ratio, spread, 100 * m.limit_us / m.xbn_us, 100 * m.limit_us / m.onednn_us,
              row.measurements > 1 ? ("  median of " + std::to_string(row.measurements)).c_str() : "",
              m.reference_code() ? "  reference code: not in the means" : "");
}

void print_summary(const std::vector<Row>& rows) {
  const auto counted = std::count_if(rows.begin(), rows.end(), counts);
  const auto failed = std::count_if(rows.begin(), rows.end(), [](const Row& row) { return !row.error.empty(); });
  std::printf("\n%td rows", static_cast<std::ptrdiff_t>(rows.size()));
  if (failed > 0) std::printf(", %td FAILED", failed);
  const auto unimplemented = std::count_if(
      rows.begin(), rows.end(), [](const Row& row) { return row.error.empty() && row.measurement.unimplemented(); });
  const auto reference = static_cast<std::ptrdiff_t>(rows.size()) - counted - failed - unimplemented;
  if (reference > 0) std::printf(", %td left out in which oneDNN runs its reference code", reference);
  if (unimplemented > 0) std::printf(", %td that oneDNN does not implement", unimplemented);
  std::printf("\n");
  if (counted == 0) return;

  std::set<Direction> directions;
  std::set<Tag> tags;
  std::set<std::string> variants;
  for (const Row& row : rows) {
    directions.insert(row.test_case.direction);
    tags.insert(row.test_case.tag);
    variants.insert(variant(row.test_case));
  }
  std::printf("geometric mean of the ratio %.2f\n by direction:",
              geometric_mean(rows, [](const Case&) { return true; }));
  for (const Direction direction : directions) {
    print_mean(name(direction), geometric_mean(rows, [&](const Case& c) { return c.direction == direction; }));
  }
  std::printf("\n by layout:   ");
  for (const Tag tag : tags) {
    print_mean(name(tag), geometric_mean(rows, [&](const Case& c) { return c.tag == tag; }));
  }
  if (variants.size() > 1) std::printf("\n by type and flags:");
  for (const std::string& one : variants) {
    if (variants.size() == 1) break;
    print_mean(one, geometric_mean(rows, [&](const Case& c) { return variant(c) == one; }));
  }
  const Row* worst = nullptr;
  for (const Row& row : rows) {
    if (counts(row) && (worst == nullptr || row.measurement.ratio < worst->measurement.ratio)) worst = &row;
  }
  const Case& worst_case = worst->test_case;
  std::printf("\nworst case:    %.2f  %s %s %s %s, oneDNN %s\n", worst->measurement.ratio,
              label(worst_case.shape).c_str(), std::string(name(worst_case.direction)).c_str(),
              std::string(name(worst_case.tag)).c_str(), variant(worst_case).c_str(),
              worst->measurement.onednn.c_str());
}

nlohmann::json to_json(const std::vector<Row>& rows, int threads, const std::string& isa) {
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json object = to_json(row.test_case);
    object["threads"] = threads;
    object["isa"] = isa;
    object["verified"] = row.error.empty();
    if (!row.error.empty()) {
      object["error"] = row.error;
    } else {
      const Measurement& m = row.measurement;
      object["xbn_us"] = m.xbn_us;
      object["onednn"] = m.onednn;
      object["onednn_impl"] = m.implementation;
      object["limit_us"] = m.limit_us;
      object["xbn_limit"] = m.limit_us / m.xbn_us;
      object["measurements"] = row.measurements;
      if (!m.unimplemented()) {
        object["onednn_us"] = m.onednn_us;
        object["ratio"] = m.ratio;
        object["ratio_min"] = m.ratio_min;
        object["ratio_max"] = m.ratio_max;
        object["onednn_limit"] = m.limit_us / m.onednn_us;
      }
    }
    list.push_back(std::move(object));
  }
  return list;
}

}  // namespace bench
