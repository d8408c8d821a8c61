#include "limit.hpp"

#include <algorithm>
#include <vector>

#include "measure.hpp"

namespace bench {

std::unique_ptr<StreamContender> fastest_stream(const Case& test_case, const Tensors& tensors) {
  std::vector<std::unique_ptr<StreamContender>> streams;
  std::vector<Contender*> contenders;
  for (const Threads threads : {Threads::all, Threads::one}) {
    for (const Store store : {Store::ordinary, Store::streaming}) {
      for (const Places places : {Places::one, Places::four}) {
        streams.push_back(std::make_unique<StreamContender>(test_case, tensors, store, threads, places));
        contenders.push_back(streams.back().get());
      }
    }
  }
  constexpr int repetitions = 2;
  const std::vector<std::vector<double>> seconds = measure(contenders, repetitions);
  std::vector<double> least;
  for (const std::vector<double>& one : seconds) least.push_back(*std::min_element(one.begin(), one.end()));
  return std::move(streams[static_cast<std::size_t>(std::min_element(least.begin(), least.end()) - least.begin())]);
}

}  // namespace bench
