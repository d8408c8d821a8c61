#pragma once

/// The comparison's table, its summary, and the same as JSON.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "measurement.hpp"

namespace bench {

struct Row {
  Case test_case{};
  Measurement measurement{};
  int measurements = 1;  ///< how many `measurement` is the median of
  std::string error{};   ///< why there is no measurement; empty where there is one
};

/// What a problem is called in tables: its name, or else its descriptor.
std::string label(const Shape& shape);

/// Of the columns that name a case.
struct Widths {
  int label;
  int types;
  int fusions;
};

Widths widths_of(const std::vector<Case>& cases);

/// "problem dir dt tag flags", and the same of a case.
std::string case_header(const Widths& widths);
std::string case_columns(const Case& test_case, const Widths& widths);

/// The processor's name, where the system tells it.
std::string processor();

void print_table_header(const Widths& widths);
void print_row(const Row& row, const Widths& widths);

/// Geometric means of the ratio by direction, by layout, and by types and fusions where there are several, and the
/// worst row; rows without a measurement, those that oneDNN does not implement and those in which it falls to its
/// reference code are left out.
void print_summary(const std::vector<Row>& rows);

/// One object a row.
nlohmann::json to_json(const std::vector<Row>& rows, int threads, const std::string& isa);

}  // namespace bench
