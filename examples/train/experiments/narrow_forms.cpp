#include "experiments/forms.hpp"
#include "network/bf16_network.hpp"
#include "network/int8_network.hpp"

namespace train {
namespace {

// Whether there are products of the types shows at the first of them.
template <class Network>
Form form(const char* name, const std::shared_ptr<Network>& network, const Dataset& samples) {
  try {
    network->forward(samples.x, samples.samples());
  } catch (const NoSuchProduct& reason) {
    return {name, {}, reason.what()};
  }
  return {name, [network](const Values& x, std::int64_t batch) -> const Values& { return network->forward(x, batch); }};
}

}  // namespace

std::vector<Form> narrow_forms(FullyConnected& trained, const Dataset& samples) {
  return {form("bf16", std::make_shared<Bf16Network>(trained), samples),
          form("int8", std::make_shared<Int8Network>(trained, samples), samples)};
}

}  // namespace train
