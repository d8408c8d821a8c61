#pragma once

// Activations of arrays.

#include "kernels/activation.hpp"

namespace xbn::kernels {
namespace {

// run.operator()<kCount>(lanes, others) of all elements, many lanes at a time; writes lanes.
template <class A, class Real, class Run>
inline void for_each_lanes(const Real* others, const Real* from, Real* to, Index count, const Run& run) {
  using P = Pack<A, Real, kLanes>;
  constexpr int kCount = 4;
  P of_others[kCount];
  P lanes[kCount];
  Index i = 0;
  for (; i + kCount * kLanes <= count; i += kCount * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      of_others[k] = P::load(others + i + k * kLanes);
      lanes[k] = P::load(from + i + k * kLanes);
    }
    run(of_others, lanes, std::integral_constant<int, kCount>{});
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) lanes[k].store(to + i + k * kLanes);
  }
  for (; i < count; i += kLanes) {
    of_others[0] = P::load_first(others + i, count - i);
    lanes[0] = P::load_first(from + i, count - i);
    run(of_others, lanes, std::integral_constant<int, 1>{});
    lanes[0].store_first(to + i, count - i);
  }
}

template <class Call>
inline void with_real(DataType type, const Call& call) {
  if (type == DataType::f64) {
    call(double{});
  } else {
    call(float{});
  }
}

template <class A>
struct ActivationArrays {
  static void values(const Activation& activation, DataType type, const void* z, void* y, Index count) {
    with_real(type, [&]<class Real>(Real) {
      using P = Pack<A, Real, kLanes>;
      const auto* from = static_cast<const Real*>(z);
      for_each_lanes<A>(from, from, static_cast<Real*>(y), count,
                        [&]<int kCount>(const P*, P* lanes, std::integral_constant<int, kCount>) {
                          activate<A, Real, kCount>(activation, lanes);
                        });
    });
  }

  static void gradients(const Activation& activation, DataType type, const void* z, const void* dy, void* dz,
                        Index count) {
    with_real(type, [&]<class Real>(Real) {
      using P = Pack<A, Real, kLanes>;
      for_each_lanes<A>(static_cast<const Real*>(z), static_cast<const Real*>(dy), static_cast<Real*>(dz), count,
                        [&]<int kCount>(const P* at, P* lanes, std::integral_constant<int, kCount>) {
                          times_derivative<A, Real, kCount>(activation, at, lanes);
                        });
    });
  }

  static void inverses(const Activation& activation, DataType type, const void* y, void* z, Index count) {
    with_real(type, [&]<class Real>(Real) {
      using P = Pack<A, Real, kLanes>;
      const auto* from = static_cast<const Real*>(y);
      for_each_lanes<A>(from, from, static_cast<Real*>(z), count,
                        [&]<int kCount>(const P*, P* lanes, std::integral_constant<int, kCount>) {
                          invert<A, Real, kCount>(activation, lanes);
                        });
    });
  }

  static void gradients_of_outputs(const Activation& activation, DataType type, const void* y, const void* dy, void* dz,
                                   Index count) {
    with_real(type, [&]<class Real>(Real) {
      using P = Pack<A, Real, kLanes>;
      for_each_lanes<A>(static_cast<const Real*>(y), static_cast<const Real*>(dy), static_cast<Real*>(dz), count,
                        [&]<int kCount>(const P* at, P* lanes, std::integral_constant<int, kCount>) {
                          times_derivative_of_output<A, Real, kCount>(activation, at, lanes);
                        });
    });
  }
};

}  // namespace
}  // namespace xbn::kernels
