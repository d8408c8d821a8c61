#pragma once

// Calls on tensors of any type that are made for them, each checked for what it wrote beside its results.

#include "fused_reference.hpp"
#include "typed_tensor.hpp"

namespace xbn::test {

/// Which source the destination is. Another's pitch is the result's then.
enum class Place { separate, first, second };

/// Where a call's tensors lie and what it is to write.
struct FusedPlacement {
  Pitch source = Pitch::dense;  ///< of x, or y where backward reads it
  Pitch second = Pitch::dense;  ///< of residual in forward, dy in backward
  Pitch result = Pitch::dense;
  bool owns_padding = true;
  Place place = Place::separate;  ///< of y: first is x, second the residual; of dx: first is x or y, second dy
  bool mask = false;              ///< written by forward, read by backward
};

struct FusedOutputs {
  Doubles y;
  Doubles mean;
  Doubles variance;
  std::vector<std::uint8_t> mask;
};

/// Running statistics are updated where `running` is not null: mean and variance, in and out.
struct Running {
  Doubles mean;
  Doubles variance;
  RunningUpdate update{};
};

FusedOutputs run_training(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement = {},
                          Running* running = nullptr);
FusedOutputs run_inference(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement = {});
/// in.gamma is the scale, in.beta the shift.
FusedOutputs run_folded(const BatchNorm& object, const FusedInputs& in, const FusedPlacement& placement = {});

struct FusedWanted {
  bool dx = true;
  bool dgamma = true;
  bool dbeta = true;
  bool d_residual = true;  ///< where there is one
};

struct FusedResults {
  Doubles dx;
  Doubles dgamma;
  Doubles dbeta;
  Doubles d_residual;
  std::vector<std::int64_t> saturated;
};

/// `mask` is read where the placement says so.
FusedResults run_backward(const BatchNorm& object, Statistics statistics, const FusedInputs& in,
                          const FusedPlacement& placement = {}, const FusedWanted& wanted = {},
                          const std::vector<std::uint8_t>& mask = {});

/// Inputs of a problem, forward's and backward's: normal data, held by the problem's types. NaN beyond the lengths.
/// mean and variance are some way off the batch's.
FusedInputs make_inputs(const Problem& problem, std::uint64_t seed = 1);

/// Mean and variance become the batch's, rounded, as forward_training saves them. Returns what to expect with them.
FusedStatistics save_statistics(const Problem& problem, FusedInputs& in);

/// The given ones.
FusedStatistics given_statistics(const FusedInputs& in);

/// Gradients become 0 where rounding may decide on which side of a kink of the activation an element lies.
void avoid_kinks(const Problem& problem, FusedInputs& in, const FusedStatistics& of);

/// The mask that forward must have written, of these pre-activations.
std::vector<std::uint8_t> mask_of(const Problem& problem, const FusedInputs& in, const Reals& z);

}  // namespace xbn::test
