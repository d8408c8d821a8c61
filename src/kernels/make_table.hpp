#pragma once

// The table of one instruction set. Each isa_*.cpp, compiled with that set's flags, makes one.

#include "kernels/activation_array.hpp"
#include "kernels/blocked.hpp"
#include "kernels/conversion.hpp"
#include "kernels/interleaved.hpp"
#include "kernels/planar.hpp"

namespace xbn::kernels {
namespace {

template <class A>
constexpr KernelTable make_table() {
  return {
      .planar_moments = Planar<A>::moments,
      .rows_moments = Interleaved<A>::moments,
      .blocks_moments = Blocked<A>::moments,
      .planar_prefetch_pivots = Planar<A>::prefetch_pivots,
      .blocks_prefetch_pivots = Blocked<A>::prefetch_pivots,
      .planar_apply = Planar<A>::apply,
      .rows_apply = Interleaved<A>::apply,
      .blocks_apply = Blocked<A>::apply,
      .planar_gradient_sums = Planar<A>::gradient_sums,
      .rows_gradient_sums = Interleaved<A>::gradient_sums,
      .blocks_gradient_sums = Blocked<A>::gradient_sums,
      .planar_gradient_apply = Planar<A>::gradient_apply,
      .rows_gradient_apply = Interleaved<A>::gradient_apply,
      .blocks_gradient_apply = Blocked<A>::gradient_apply,
      .planar_apply_and_moments = Planar<A>::apply_and_moments,
      .blocks_apply_and_moments = Blocked<A>::apply_and_moments,
      .planar_gradient_apply_and_sums = Planar<A>::gradient_apply_and_sums,
      .blocks_gradient_apply_and_sums = Blocked<A>::gradient_apply_and_sums,
      .stream_fence = stream_fence,
      .merge_moments = merge_moments,
      .add = add,
      .finalise_forward = finalise_forward<A>,
      .finalise_given = finalise_given,
      .finalise_backward = finalise_backward<A>,
      .convert = convert<A>,
      .activate = ActivationArrays<A>::values,
      .activation_gradient = ActivationArrays<A>::gradients,
      .activation_inverse = ActivationArrays<A>::inverses,
      .activation_gradient_of_output = ActivationArrays<A>::gradients_of_outputs,
  };
}

// With sums of gradients in half registers.
template <class A>
constexpr KernelTable with_halved_sums() {
  KernelTable table = make_table<A>();
  table.planar_gradient_sums = Planar<A>::template gradient_sums<HalvedGradientReduction>;
  table.rows_gradient_sums = Interleaved<A>::template gradient_sums<HalvedGradientReduction>;
  table.blocks_gradient_sums = Blocked<A>::template gradient_sums<HalvedGradientReduction>;
  return table;
}

}  // namespace
}  // namespace xbn::kernels
