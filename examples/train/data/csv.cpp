#include "data/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <system_error>

#include "data/contents.hpp"
#include "data/file_error.hpp"

namespace train {
namespace {

constexpr int most_classes = 1000;

class Parser {
 public:
  Parser(const std::filesystem::path& file, std::string_view text) : file_(file), text_(text) {}

  Dataset parse() {
    std::string_view rest = text_;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      std::string_view line = rest.substr(0, end);
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      ++line_;
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line.empty()) {
        if (rest.find_first_not_of("\r\n") == std::string_view::npos) break;
        refuse(1, "must be a sample; was an empty line");
      }
      parse_line(line);
    }
    if (data_.labels.empty()) throw FileError(file_, 1, 1, "must have at least one sample; has none");
    data_.classes = *std::max_element(data_.labels.begin(), data_.labels.end()) + 1;
    return std::move(data_);
  }

 private:
  [[noreturn]] void refuse(std::size_t column, const std::string& what) const {
    throw FileError(file_, line_, static_cast<std::int64_t>(column), what);
  }

  void parse_line(std::string_view line) {
    std::int64_t values = 0;
    std::size_t begin = 0;
    for (std::size_t comma = line.find(','); comma != std::string_view::npos; comma = line.find(',', begin)) {
      if (line_ > 1 && values == data_.features) {
        refuse(begin + 1, "must be the end of the line, after " + std::to_string(values) +
                              " values and a label as in line 1; was another value");
      }
      data_.x.push_back(value(line.substr(begin, comma - begin), begin));
      ++values;
      begin = comma + 1;
    }
    if (values == 0) refuse(1, "must be values and a label, separated by commas; was without a comma");
    if (line_ == 1) data_.features = values;
    if (values < data_.features) {
      refuse(line.size() + 1, "must have " + std::to_string(data_.features) +
                                  " values and a label, as line 1 has; has " + std::to_string(values) +
                                  " values and a label");
    }
    data_.labels.push_back(label(line.substr(begin), begin));
  }

  float value(std::string_view text, std::size_t begin) const {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
      refuse(begin + 1, "must be a number; was '" + std::string(text) + "'");
    }
    if (!std::isfinite(number) || std::abs(number) > 1e30) {
      refuse(begin + 1, "must be a number between -1e30 and 1e30; was '" + std::string(text) + "'");
    }
    return static_cast<float>(number);
  }

  int label(std::string_view text, std::size_t begin) const {
    // Some programs write whole numbers as 3.000000e+00.
    const float number = value(text, begin);
    if (number < 0 || number >= static_cast<float>(most_classes) || number != std::floor(number)) {
      refuse(begin + 1, "must be a label, a whole number from 0 to " + std::to_string(most_classes - 1) + "; was '" +
                            std::string(text) + "'");
    }
    return static_cast<int>(number);
  }

  const std::filesystem::path& file_;
  std::string_view text_;
  std::int64_t line_ = 0;
  Dataset data_{};
};

}  // namespace

Dataset parse_csv(const std::filesystem::path& file, std::string_view text) { return Parser(file, text).parse(); }

Dataset read_csv(const std::filesystem::path& file) { return parse_csv(file, read_contents(file)); }

}  // namespace train
