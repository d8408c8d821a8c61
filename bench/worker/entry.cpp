#include "entry.hpp"

#include <stdexcept>
#include <string>

namespace bench {

Times ratios(const Times& of, const Times& by) {
  Times result;
  for (std::size_t i = 0; i < of.size(); ++i) result.push_back(of[i] / by[i]);
  return result;
}

void check(const PreparedData& data, const Entry& entry, const Tensors& tensors, const char* what) {
  for (const Deviation& deviation : data.deviations_of(*entry.contender, entry.test_case, tensors)) {
    if (deviation.of_bound <= 1) continue;
    throw std::runtime_error(std::string(what) + ": " + std::string(deviation.output) + " is off by " +
                             std::to_string(deviation.of_bound) + " of its bound");
  }
}

}  // namespace bench
