#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>

#include <xbn/types.hpp>

namespace train {

/// Thrown where this machine or oneDNN has no product of these types.
class NoSuchProduct : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// y = x * W^T in types narrower than float: x is batch x inputs, W outputs x inputs, y batch x outputs. By oneDNN, on
/// one thread.
class NarrowProduct {
 public:
  struct Sizes {
    std::int64_t batch = 0;
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
  };
  struct Types {
    xbn::DataType x = xbn::DataType::f32;
    xbn::DataType weights = xbn::DataType::f32;
    xbn::DataType y = xbn::DataType::f32;
  };

  /// Puts the weights into the order that is best for this product.
  NarrowProduct(const Sizes& sizes, const Types& types, const void* weights);
  ~NarrowProduct();
  NarrowProduct(NarrowProduct&&) noexcept;
  NarrowProduct& operator=(NarrowProduct&&) noexcept;

  void operator()(const void* x, void* y) const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace train
