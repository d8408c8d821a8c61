#include "session.hpp"

#include <cstdio>
#include <vector>

#include "measure.hpp"
#include "onednn.hpp"
#include "stream.hpp"
#include "xbn_contender.hpp"

namespace bench {
namespace {

std::vector<Deviation> deviations_of(Contender& contender, const Case& test_case, const Tensors& tensors,
                                     const Reference& reference) {
  const Geometry geometry = geometry_of(test_case);
  poison_outputs(geometry, tensors);
  contender.run();
  return deviations(test_case, geometry, tensors, reference);
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

/// The fastest way to stream the case's bytes.
StreamContender fastest_stream(const Case& test_case, const Tensors& tensors) {
  std::vector<StreamContender> streams;
  for (const Threads threads : {Threads::all, Threads::one}) {
    for (const Store store : {Store::ordinary, Store::streaming}) {
      for (const Places places : {Places::one, Places::four}) {
        streams.emplace_back(test_case, tensors, store, threads, places);
      }
    }
  }
  std::vector<Contender*> contenders;
  for (StreamContender& stream : streams) contenders.push_back(&stream);
  constexpr int repetitions = 2;
  const std::vector<std::vector<double>> seconds = measure(contenders, repetitions);
  std::vector<double> least;
  for (const std::vector<double>& one : seconds) least.push_back(*std::min_element(one.begin(), one.end()));
  return streams[static_cast<std::size_t>(std::min_element(least.begin(), least.end()) - least.begin())];
}

}  // namespace

Tensors Session::prepare(const Case& test_case, Data data) {
  const Geometry geometry = geometry_of(test_case);
  const Tensors tensors = memory_.tensors_for(test_case);
  const Content content{geometry, data, memory_.generation()};
  if (content_of_x_ != content) {
    fill_x(data, geometry, tensors.x);
    statistics_ = batch_statistics(geometry, tensors.x);
    content_of_x_ = content;
  }
  if (test_case.backward() && content_of_dy_ != content) {
    fill_dy(data, geometry, tensors.dy);
    content_of_dy_ = content;
  }
  fill_parameters(test_case, geometry, tensors);
  for (std::size_t c = 0; c < statistics_.mean.size(); ++c) {
    tensors.mean[c] = static_cast<float>(statistics_.mean[c]);
    tensors.variance[c] = static_cast<float>(statistics_.variance[c]);
  }
  return tensors;
}

nlohmann::json Session::compare(const Case& test_case, int repetitions, bool verify) {
  const Tensors tensors = prepare(test_case, Data::exact);
  XbnContender xbn(test_case, tensors);
  OneDnnContender onednn(test_case, tensors);
  nlohmann::json result{{"implementation", onednn.implementation()}, {"failures", nlohmann::json::array()}};
  if (verify) {
    // oneDNN promises no bound; on exact data its error is rounding alone, and this far off is a wrong result.
    constexpr double onednn_most_of_bound = 16;
    const Reference reference = reference_of(test_case, geometry_of(test_case), tensors, statistics_);
    add_failures(result["failures"], "xbn", deviations_of(xbn, test_case, tensors, reference), 1);
    add_failures(result["failures"], "oneDNN", deviations_of(onednn, test_case, tensors, reference),
                 onednn_most_of_bound);
    if (!result["failures"].empty()) return result;
  }
  StreamContender limit = fastest_stream(test_case, tensors);
  const std::vector<std::vector<double>> seconds = measure({&xbn, &onednn, &limit}, repetitions);
  result["xbn"] = seconds[0];
  result["onednn"] = seconds[1];
  result["limit"] = seconds[2];
  return result;
}

nlohmann::json Session::parity(const Case& test_case) {
  nlohmann::json answer{{"results", nlohmann::json::array()}};
  for (const Data data : random_and_adversarial) {
    const Tensors tensors = prepare(test_case, data);
    XbnContender xbn(test_case, tensors);
    OneDnnContender onednn(test_case, tensors);
    const Reference reference = reference_of(test_case, geometry_of(test_case), tensors, statistics_);
    answer["implementation"] = onednn.implementation();
    answer["results"].push_back({{"data", name(data)},
                                 {"xbn", to_json(deviations_of(xbn, test_case, tensors, reference))},
                                 {"onednn", to_json(deviations_of(onednn, test_case, tensors, reference))}});
  }
  return answer;
}

}  // namespace bench
