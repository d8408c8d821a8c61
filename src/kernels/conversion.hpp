#pragma once

// From an array of one element type to one of another.

#include "kernels/storage.hpp"

namespace xbn::kernels {
namespace {

template <class Call>
inline void with_type(DataType type, const Call& call) {
  switch (type) {
    case DataType::f32:
      return call(static_cast<float*>(nullptr));
    case DataType::f64:
      return call(static_cast<double*>(nullptr));
    case DataType::bf16:
      return call(static_cast<bfloat16*>(nullptr));
    case DataType::f16:
      return call(static_cast<float16*>(nullptr));
    case DataType::s8:
      return call(static_cast<std::int8_t*>(nullptr));
    case DataType::u8:
      return call(static_cast<std::uint8_t*>(nullptr));
  }
}

template <class To, class A>
inline Pack<A, RealOf<To>, kLanes> rounded_to(const Lanes<A>& lanes) {
  if constexpr (std::is_same_v<To, double>) {
    return widen(lanes);
  } else {
    return lanes;
  }
}

template <class To, class A>
inline Pack<A, RealOf<To>, kLanes> rounded_to(const DoubleLanes<A>& lanes) {
  if constexpr (std::is_same_v<To, double>) {
    return lanes;
  } else {
    return narrow(lanes);
  }
}

template <class A, class From, class To>
[[gnu::noinline]] void convert_elements(const From* from, To* to, Index count) {
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) store_lanes<A>(rounded_to<To, A>(load_lanes<A>(from + i)), to + i);
  if (i < count) store_first_lanes<A>(rounded_to<To, A>(load_first_lanes<A>(from + i, count - i)), to + i, count - i);
}

template <class A>
void convert(DataType from_type, const void* from, DataType to_type, void* to, Index count) {
  with_type(from_type, [&]<class From>(From*) {
    with_type(to_type,
              [&]<class To>(To*) { convert_elements<A>(static_cast<const From*>(from), static_cast<To*>(to), count); });
  });
}

}  // namespace
}  // namespace xbn::kernels
