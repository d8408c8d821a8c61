#include "entry.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace bench {

Times ratios(const Times& of, const Times& by) {
  Times result;
  for (std::size_t i = 0; i < of.size(); ++i) result.push_back(of[i] / by[i]);
  return result;
}

double median(Times times) {
  std::sort(times.begin(), times.end());
  const std::size_t middle = times.size() / 2;
  return times.size() % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
}

void check(const PreparedData& data, const Entry& entry, const Tensors& tensors, const char* what) {
  for (const Deviation& deviation : data.deviations_of(*entry.contender, entry.test_case, tensors)) {
    if (deviation.of_bound <= 1) continue;
    throw std::runtime_error(std::string(what) + ": " + std::string(deviation.output) + " is off by " +
                             std::to_string(deviation.of_bound) + " of its bound");
  }
}

}  // namespace bench
