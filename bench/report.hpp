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

/// The largest width of a label.
int label_width(const std::vector<Case>& cases);

/// The processor's name, where the system tells it.
std::string processor();

void print_table_header(int width);
void print_row(const Row& row, int width);

/// Geometric means of the ratio by direction and by layout, and the worst row; rows without a measurement and those in
/// which oneDNN falls to its reference code are left out.
void print_summary(const std::vector<Row>& rows);

/// One object a row.
nlohmann::json to_json(const std::vector<Row>& rows, int threads, const std::string& isa);

}  // namespace bench
