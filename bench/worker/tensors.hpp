#pragma once

/// The memory that both libraries work on, allocated once and reused from case to case.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <xbn/types.hpp>

#include "geometry.hpp"

namespace bench {

/// Elements of a type that is known at run time; null where a case has no such tensor.
struct Tensor {
  std::byte* data = nullptr;
  xbn::DataType type = xbn::DataType::f32;

  std::byte* at(std::int64_t element) const { return data + element * static_cast<std::int64_t>(xbn::size_of(type)); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }

  /// Of tensors of f32 and f64.
  double get(std::int64_t element) const {
    return type == xbn::DataType::f64 ? as<double>()[element] : double{as<float>()[element]};
  }
  void set(std::int64_t element, double value) const {
    if (type == xbn::DataType::f64) {
      as<double>()[element] = value;
    } else {
      as<float>()[element] = static_cast<float>(value);
    }
  }
};

/// A contender's view of a case. Per-channel arrays have the padded number of channels.
struct Tensors {
  Tensor x{};
  Tensor dy{};          ///< backward
  Tensor y{};           ///< of forward; in backward, of the forward that writes the mask, before dx is
  Tensor dx{};          ///< backward; the memory of y
  Tensor residual{};    ///< with flag A
  Tensor d_residual{};  ///< with flag A, backward
  /// A byte for each element of dy: whether ReLU passed it in the forward that wrote the mask. For the reference only.
  std::uint8_t* passed = nullptr;
  Tensor gamma{};
  Tensor beta{};
  Tensor mean{};          ///< given, or of the batch, for all but forward training
  Tensor variance{};      ///< likewise
  Tensor out_mean{};      ///< of forward training
  Tensor out_variance{};  ///< likewise
  Tensor dgamma{};
  Tensor dbeta{};
};

/// Tensors that begin at a cache line, each at another distance from a page's start: stores then do not collide with
/// loads whose addresses end in the same 12 bits.
class Memory {
 public:
  /// Room for the case. Throws std::runtime_error where the machine has not that much memory left. Contents are kept
  /// while no tensor has to grow.
  Tensors tensors_for(const Case& test_case);

  /// How often the tensors had to grow, and so lost their contents.
  std::int64_t generation() const { return generation_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };

  static constexpr int big_tensors = 6;
  std::unique_ptr<std::byte, Free> big_[big_tensors];
  std::unique_ptr<std::byte, Free> channel_arrays_;
  std::int64_t big_bytes_[big_tensors] = {};
  std::int64_t channel_array_bytes_ = 0;
  std::int64_t generation_ = 0;
};

/// Overwrites what the case writes with ones, which are NaN in the types that have it, in parallel: an element that a
/// contender leaves out then shows. Also gives fresh pages to the threads of this arena.
void poison_outputs(const Case& test_case, const Geometry& geometry, const Tensors& tensors);

}  // namespace bench
