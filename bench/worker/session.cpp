#include "session.hpp"

#include <cstdio>
#include <memory>
#include <vector>

#include "limit.hpp"
#include "measure.hpp"
#include "onednn.hpp"
#include "xbn_contender.hpp"

namespace bench {
namespace {

/// Null where oneDNN does not have the case.
std::unique_ptr<OneDnnContender> onednn_on(const Case& test_case, const Tensors& tensors) {
  try {
    return std::make_unique<OneDnnContender>(test_case, tensors);
  } catch (const Unimplemented&) {
    return nullptr;
  }
}

std::string implementation_of(const std::unique_ptr<OneDnnContender>& onednn) {
  return onednn != nullptr ? onednn->implementation() : "unimplemented";
}

void add_failures(nlohmann::json& failures, const char* contender, const std::vector<Deviation>& all,
                  double most_of_bound) {
  for (const Deviation& deviation : all) {
    if (deviation.of_bound <= most_of_bound) continue;
    char text[128];
    std::snprintf(text, sizeof text, "%s's %s is off by %.3g ulp, %.3g of the bound", contender,
                  std::string(deviation.output).c_str(), deviation.ulp, deviation.of_bound);
    failures.push_back(text);
  }
}

nlohmann::json to_json(const std::vector<Deviation>& all) {
  nlohmann::json list = nlohmann::json::array();
  for (const Deviation& deviation : all) {
    list.push_back({{"output", deviation.output},
                    {"ulp", deviation.ulp},
                    {"relative", deviation.relative},
                    {"of_bound", deviation.of_bound}});
  }
  return list;
}

}  // namespace

nlohmann::json Session::compare(const Case& test_case, int repetitions, bool verify) {
  const Tensors tensors = data_.prepare(test_case, Data::exact);
  XbnContender xbn(test_case, tensors);
  const std::unique_ptr<OneDnnContender> onednn = onednn_on(test_case, tensors);
  nlohmann::json result{{"implementation", implementation_of(onednn)},
                        {"failures", nlohmann::json::array()},
                        {"onednn", nlohmann::json::array()}};
  if (verify) {
    // oneDNN promises no bound; on exact data its error is rounding alone, and this far off is a wrong result.
    constexpr double onednn_most_of_bound = 16;
    add_failures(result["failures"], "xbn", data_.deviations_of(xbn, test_case, tensors), 1);
    if (onednn != nullptr) {
      add_failures(result["failures"], "oneDNN", data_.deviations_of(*onednn, test_case, tensors),
                   onednn_most_of_bound);
    }
    if (!result["failures"].empty()) return result;
  } else if (reads_mask(test_case)) {
    xbn.write_mask();
    if (onednn != nullptr) onednn->write_mask();
  }
  const std::unique_ptr<StreamContender> limit = fastest_stream(test_case, tensors);
  std::vector<Contender*> contenders{&xbn, limit.get()};
  if (onednn != nullptr) contenders.insert(contenders.begin() + 1, onednn.get());
  const std::vector<std::vector<double>> seconds = measure(contenders, repetitions);
  result["xbn"] = seconds.front();
  if (onednn != nullptr) result["onednn"] = seconds[1];
  result["limit"] = seconds.back();
  return result;
}

nlohmann::json Session::parity(const Case& test_case) {
  nlohmann::json answer{{"results", nlohmann::json::array()}};
  for (const Data data : random_and_adversarial) {
    const Tensors tensors = data_.prepare(test_case, data);
    XbnContender xbn(test_case, tensors);
    const std::unique_ptr<OneDnnContender> onednn = onednn_on(test_case, tensors);
    answer["implementation"] = implementation_of(onednn);
    nlohmann::json errors{{"data", name(data)},
                          {"xbn", to_json(data_.deviations_of(xbn, test_case, tensors))},
                          {"onednn", nlohmann::json::array()}};
    if (onednn != nullptr) errors["onednn"] = to_json(data_.deviations_of(*onednn, test_case, tensors));
    answer["results"].push_back(std::move(errors));
  }
  return answer;
}

}  // namespace bench
