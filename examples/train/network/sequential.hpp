#pragma once

#include <memory>
#include <utility>

#include "network/layer.hpp"

namespace train {

/// Layers one after the other.
class Sequential : public Layer {
 public:
  /// Adds a layer behind the others.
  template <class L, class... Arguments>
  L& add(Arguments&&... arguments) {
    auto layer = std::make_unique<L>(std::forward<Arguments>(arguments)...);
    L& added = *layer;
    layers_.push_back(std::move(layer));
    return added;
  }

  const Values& forward(const Values& x, std::int64_t batch, Mode mode) override;
  const Values& backward(const Values& x, const Values& dy) override;
  void append_parameters(std::vector<Parameter*>& parameters) override;

 private:
  std::vector<std::unique_ptr<Layer>> layers_{};
  std::vector<const Values*> inputs_{};
};

}  // namespace train
