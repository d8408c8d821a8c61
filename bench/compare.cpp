/// xbn_compare: times xbn against oneDNN, case by case.

#include <cstdio>

#include "front_end.hpp"
#include "progress.hpp"
#include "protocol.hpp"
#include "report.hpp"

namespace {

using bench::Case;
using bench::Measurement;
using bench::Row;
using bench::WorkerProcess;
using nlohmann::json;

constexpr const char* description =
    "Compares xbn's batch normalization with oneDNN's. Both work on the same buffers with as many threads; each result "
    "is verified before it is timed.";

/// Below this ratio a row is measured again.
constexpr double suspicious_ratio = 0.95;
constexpr int further_measurements = 3;

/// A failure that concerns one case.
struct CaseError {
  std::string text;
};

Measurement measure(WorkerProcess& worker, const Case& test_case, bool verify) {
  json request = bench::to_json(test_case);
  request["command"] = "compare";
  request["verify"] = verify;
  const json answer = worker.ask(request);
  if (answer.contains("error")) throw CaseError{worker.name() + ": " + answer.at("error").get<std::string>()};
  if (const json& failures = answer.at("failures"); !failures.empty()) {
    std::string text = worker.name() + ": ";
    for (const json& failure : failures) text += (text.ends_with(": ") ? "" : "; ") + failure.get<std::string>();
    throw CaseError{text};
  }
  return bench::measurement_from(answer, worker.name());
}

Row row_of(bench::Run& run, const Case& test_case) {
  Row row;
  row.test_case = test_case;
  try {
    std::vector<Measurement> lowest;
    for (const auto& worker : run.workers) {
      std::vector<Measurement> measurements{measure(*worker, test_case, true)};
      if (!measurements.front().unimplemented() && measurements.front().ratio < suspicious_ratio) {
        for (int i = 0; i < further_measurements; ++i) measurements.push_back(measure(*worker, test_case, false));
      }
      lowest.push_back(bench::median_by_ratio(measurements));
      if (bench::lowest_ratio(lowest).onednn == worker->name())
        row.measurements = static_cast<int>(measurements.size());
    }
    row.measurement = bench::lowest_ratio(lowest);
  } catch (const CaseError& error) {
    row.error = error.text;
  }
  return row;
}

int compare(bench::Run& run, json& results) {
  const std::vector<Case>& cases = run.command_line.cases;
  std::printf("ratio: oneDNN's time / xbn's; last columns: the time of the memory limit / each one's time\n\n");
  const bench::Widths widths = bench::widths_of(cases);
  bench::print_table_header(widths);
  std::fflush(stdout);

  bench::Progress progress(bench::work_of(cases));
  double work_done = 0;
  std::vector<Row> rows;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    progress.show(work_done, bench::progress_text(cases, i));
    rows.push_back(row_of(run, cases[i]));
    work_done += bench::work_of(cases[i]);
    progress.clear();
    bench::print_row(rows.back(), widths);
    std::fflush(stdout);
    results = bench::to_json(rows, run.command_line.worker.threads, run.workers.front()->isa());
  }
  bench::print_summary(rows);
  for (const Row& row : rows) {
    if (!row.error.empty()) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bench::run_front_end(description, argc, argv, compare); }
