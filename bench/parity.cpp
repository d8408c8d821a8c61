/// xbn_parity: how far xbn and oneDNN are from a reference in double, on random and adversarial data.

#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <string>

#include "front_end.hpp"
#include "progress.hpp"
#include "protocol.hpp"
#include "report.hpp"

namespace {

using bench::Case;
using nlohmann::json;

constexpr const char* description =
    "Measures how far xbn and oneDNN are from a reference in double, on random and adversarial data. Exit code 1: xbn "
    "misses its stated bound.";

/// The largest errors of one output, and the data on which they were met.
struct Worst {
  double ulp = 0;
  double relative = 0;
  double of_bound = 0;
  std::string data_of_ulp{"-"};

  void take(const json& deviation, const std::string& data) {
    const auto member = [&](const char* key) {
      const json& value = deviation.at(key);
      return value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
    };
    if (member("ulp") > ulp) data_of_ulp = data;
    ulp = std::max(ulp, member("ulp"));
    relative = std::max(relative, member("relative"));
    of_bound = std::max(of_bound, member("of_bound"));
  }
};

/// Library ("xbn" or a oneDNN's name) -> output -> worst.
using Table = std::map<std::string, std::map<std::string, Worst>>;

void take(Table& table, const std::string& library, const json& deviations, const std::string& data) {
  for (const json& deviation : deviations) {
    table[library][deviation.at("output").get<std::string>()].take(deviation, data);
  }
}

/// Asks every worker for the case on every kind of data.
Table check(bench::Run& run, const Case& test_case, json& results) {
  Table table;
  for (const auto& worker : run.workers) {
    json request = bench::to_json(test_case);
    request["command"] = "parity";
    const json answer = worker->ask(request);
    if (answer.contains("error"))
      throw std::runtime_error(worker->name() + ": " + answer.at("error").get<std::string>());
    for (const json& on_data : answer.at("results")) {
      const auto data = on_data.at("data").get<std::string>();
      take(table, "xbn", on_data.at("xbn"), data);
      take(table, worker->name(), on_data.at("onednn"), data);

      json result = bench::to_json(test_case);
      result["data"] = data;
      result["threads"] = run.command_line.worker.threads;
      result["isa"] = worker->isa();
      result["onednn"] = worker->name();
      result["onednn_impl"] = answer.at("implementation");
      result["xbn_errors"] = on_data.at("xbn");
      result["onednn_errors"] = on_data.at("onednn");
      results.push_back(std::move(result));
    }
  }
  return table;
}

void print_libraries(const bench::Run& run, const Table& table, const std::string& output) {
  const Worst& xbn = table.at("xbn").at(output);
  std::printf(" %8.3g %8.2g %-10s %5.0f%%", xbn.ulp, xbn.relative, xbn.data_of_ulp.c_str(), 100 * xbn.of_bound);
  for (const auto& worker : run.workers) {
    const auto onednn = table.find(worker->name());
    if (onednn == table.end()) {
      std::printf(" %-30s", "unimplemented");
    } else if (const auto errors = onednn->second.find(output); errors == onednn->second.end()) {
      std::printf(" %-30s", "");
    } else {
      const Worst& worst = errors->second;
      std::printf(" %10.3g %8.2g %-10s", worst.ulp, worst.relative, worst.data_of_ulp.c_str());
    }
  }
  std::printf("%s\n", xbn.of_bound > 1 ? "  xbn MISSES ITS BOUND" : "");
}

void print_header(const bench::Run& run, const bench::Widths& widths) {
  std::printf("%s %-10s %8s %8s %-10s %6s", bench::case_header(widths).c_str(), "output", "xbn ulp", "relative", "on",
              "bound");
  for (const auto& worker : run.workers) {
    std::printf(" %10s %8s %-10s", (worker->name() + " ulp").c_str(), "relative", "on");
  }
  std::printf("\n");
}

int parity(bench::Run& run, json& results) {
  const std::vector<Case>& cases = run.command_line.cases;
  std::printf(
      "ulp: the largest error in units of the last place of the output's type, at the magnitude that docs/design.md's\n"
      "contract names; relative: as a fraction of the channel's largest |reference|; on: the data of the largest;\n"
      "bound: the error / what xbn promises\n\n");
  const bench::Widths widths = bench::widths_of(cases);
  print_header(run, widths);

  bench::Progress progress(bench::work_of(cases));
  double work_done = 0;
  int misses = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    progress.show(work_done, bench::progress_text(cases, i));
    const Table table = check(run, cases[i], results);
    work_done += bench::work_of(cases[i]);
    progress.clear();
    for (const auto& [output, worst] : table.at("xbn")) {
      std::printf("%s %-10s", bench::case_columns(cases[i], widths).c_str(), output.c_str());
      print_libraries(run, table, output);
      if (worst.of_bound > 1) ++misses;
    }
    std::fflush(stdout);
  }
  if (misses == 0) {
    std::printf("\nxbn keeps every bound.\n");
  } else {
    std::printf("\nxbn MISSES %d bounds.\n", misses);
  }
  return misses == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return bench::run_front_end(description, argc, argv, parity); }
