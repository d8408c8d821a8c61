#pragma once

/// The preconditions of every public entry point of xbn/batch_norm.hpp. What is refused throws std::invalid_argument,
/// whose message names the argument, what it must be and what it was. No memory of the call is touched.

#include <cstddef>

#include "xbn/batch_norm.hpp"

namespace xbn::internal {

/// `argument` is what messages call the problem.
void validate(const Problem& problem, const char* argument = "problem");

/// From here on the problem is a valid one. `Real` is float or double.
template <class Real>
void validate(const Problem& problem, const BasicForwardTraining<Real>& args, std::size_t scratch_bytes);
template <class Real>
void validate(const Problem& problem, const BasicForwardInference<Real>& args, std::size_t scratch_bytes);
template <class Real>
void validate(const Problem& problem, const BasicForwardFolded<Real>& args);
template <class Real>
void validate(const Problem& problem, const BasicBackward<Real>& args, std::size_t scratch_bytes);

void validate(const Problem& problem, const MomentsArgs& args, std::size_t scratch_bytes);
void validate(const Problem& problem, const Moments& into, const Moments& from);
void validate(const Problem& problem, const FinaliseArgs& args);

void validate(const Problem& problem, const GradientSumsArgs& args, std::size_t scratch_bytes);
void validate(const Problem& problem, const GradientSums& into, const GradientSums& from);
void validate(const Problem& problem, const FinaliseGradientArgs& args);
void validate(const Problem& problem, const GradientApply& args);

/// Whether a problem is of f32 and has nothing fused to it.
bool is_plain(const Problem& problem);

std::size_t mask_bytes(const Problem& problem);

/// A valid tensor's strides with every zero replaced by the dense distance, and likewise the stride of a dimension that
/// has at most one element. Those that the layout fixes remain zero.
Strides resolve(const Problem& problem, const Strides& strides);

}  // namespace xbn::internal
