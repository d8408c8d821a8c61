// Takes the place of narrow_forms.cpp in a build without oneDNN.

#include "experiments/forms.hpp"

namespace train {

std::vector<Form> narrow_forms(FullyConnected&, const Dataset&) {
  const char* reason = "oneDNN, which multiplies matrices of these types, was not there when this was built";
  return {{"bf16", {}, reason}, {"int8", {}, reason}};
}

}  // namespace train
