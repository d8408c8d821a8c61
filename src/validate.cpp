#include "validate.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "call_memory.hpp"
#include "requirements.hpp"

namespace xbn::internal {
namespace {

// What the fusions of a call need of its arguments, whichever call it is.
class Fusions {
 public:
  Fusions(const Problem& problem, CallMemory& memory) : problem_(problem), memory_(memory) {}

  template <class Real>
  void types(const char* args) const {
    constexpr bool wide = sizeof(Real) == sizeof(double);
    if (wide == (problem_.source == DataType::f64)) return;
    reject("args",
           std::string("be ") + args + (wide ? "" : "64") + " where the problem's types are " +
               std::string(name(problem_.source)) + " and " + std::string(name(problem_.destination)),
           std::string(args) + (wide ? "64" : ""));
  }

  void trains(const char* call) const {
    const DataType types[] = {problem_.source, problem_.destination};
    const char* const names[] = {"problem.source", "problem.destination"};
    for (int i = 0; i < 2; ++i) {
      if (types[i] != DataType::s8 && types[i] != DataType::u8) continue;
      reject(names[i], std::string("be one of f32, f64, bf16, f16 for ") + call, name(types[i]));
    }
  }

  void residual(const Input& residual) {
    if (problem_.residual) {
      memory_.read_tensor("residual", residual, problem_.destination);
    } else {
      require_null("residual", residual.data, "problem.residual is false");
    }
  }

  void only_with_relu(const void* mask) const {
    if (problem_.activation.kind != ActivationKind::relu) require_null("mask", mask, "the activation is not relu");
  }

  void written_mask(std::uint8_t* mask) {
    only_with_relu(mask);
    memory_.written_bytes("mask", mask, mask_bytes(problem_), Presence::optional);
  }

  void lengths(const std::int64_t* lengths) {
    if (!problem_.lengths) return require_null("lengths", lengths, "problem.lengths is false");
    memory_.read_bytes("lengths", lengths, static_cast<std::size_t>(problem_.batch) * sizeof *lengths);
    for (std::int64_t n = 0; n < problem_.batch; ++n) {
      if (lengths[n] < 0 || lengths[n] > problem_.spatial) {
        reject("lengths[" + to_text(n) + "]", "be from 0 to " + to_text(problem_.spatial), to_text(lengths[n]));
      }
    }
  }

  template <class Real>
  void weights(const Real* weights, const std::int64_t* lengths) {
    if (problem_.weights) {
      memory_.read_bytes("weights", weights, static_cast<std::size_t>(problem_.batch) * sizeof *weights);
    } else {
      require_null("weights", weights, "problem.weights is false");
    }
    bool any = false;
    for (std::int64_t n = 0; n < problem_.batch; ++n) {
      const double weight = weights != nullptr ? static_cast<double>(weights[n]) : 1;
      if (!(weight >= 0 && weight <= std::numeric_limits<double>::max())) {
        reject("weights[" + to_text(n) + "]", "be finite and at least 0", to_text(weight));
      }
      any = any || (weight > 0 && (lengths == nullptr || lengths[n] > 0));
    }
    if (any) return;
    reject(weights != nullptr ? "weights" : "lengths", "leave at least one element for statistics over the batch",
           "all zero");
  }

 private:
  const Problem& problem_;
  CallMemory& memory_;
};

// Only recovering x from y could fail where these are.
template <class Real>
void require_invertible(const Problem& problem, const BasicBackward<Real>& args) {
  for (std::int64_t c = 0; c < problem.channels; ++c) {
    const double gamma = args.gamma != nullptr ? static_cast<double>(args.gamma[c]) : 1;
    const double beta = args.beta != nullptr ? static_cast<double>(args.beta[c]) : 0;
    if (gamma == 0) {
      reject("gamma[" + to_text(c) + "]", "not be 0 where backward recovers x from y", to_text(gamma));
    }
    if (std::fabs(beta) > 64 * std::fabs(gamma)) {
      reject("beta[" + to_text(c) + "]",
             "be at most 64 |gamma| = " + to_text(64 * std::fabs(gamma)) + " where backward recovers x from y",
             to_text(beta));
    }
  }
}

}  // namespace

template <class Real>
void validate(const Problem& problem, const BasicForwardTraining<Real>& args, std::size_t scratch_bytes) {
  if (problem.batch == 0 || problem.spatial == 0) {
    reject("problem.batch * problem.spatial", "be at least 1 for statistics over the batch",
           to_text(problem.batch) + " * " + to_text(problem.spatial));
  }
  CallMemory memory(problem);
  Fusions fusions(problem, memory);
  fusions.types<Real>("ForwardTraining");
  fusions.trains("forward_training");
  memory.read_tensor("x", args.x, problem.source);
  fusions.residual(args.residual);
  memory.written_tensor("y", args.y, problem.destination);
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("beta", args.beta, Presence::optional);
  memory.written("mean", args.mean);
  memory.written("variance", args.variance);
  memory.running(args.running);
  if (problem.weights && args.running.mean != nullptr && args.running.update.estimate == VarianceEstimate::unbiased) {
    reject("running.update.estimate", "be population with weights", "unbiased");
  }
  memory.scratch(args.scratch, scratch_bytes);
  fusions.written_mask(args.mask);
  fusions.lengths(args.lengths);
  fusions.weights(args.weights, args.lengths);
}

template <class Real>
void validate(const Problem& problem, const BasicForwardInference<Real>& args, std::size_t scratch_bytes) {
  CallMemory memory(problem);
  Fusions fusions(problem, memory);
  fusions.types<Real>("ForwardInference");
  memory.read_tensor("x", args.x, problem.source);
  fusions.residual(args.residual);
  memory.written_tensor("y", args.y, problem.destination);
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("beta", args.beta, Presence::optional);
  memory.read("mean", args.mean);
  memory.read("variance", args.variance);
  memory.scratch(args.scratch, scratch_bytes);
  fusions.written_mask(args.mask);
  fusions.lengths(args.lengths);
}

template <class Real>
void validate(const Problem& problem, const BasicForwardFolded<Real>& args) {
  CallMemory memory(problem);
  Fusions fusions(problem, memory);
  fusions.types<Real>("ForwardFolded");
  memory.read_tensor("x", args.x, problem.source);
  fusions.residual(args.residual);
  memory.written_tensor("y", args.y, problem.destination);
  memory.read("mean", args.mean, Presence::optional);
  memory.read("scale", args.scale);
  memory.read("shift", args.shift);
  fusions.written_mask(args.mask);
  fusions.lengths(args.lengths);
}

namespace {

template <class Real>
bool differentiates(const Problem& problem, const BasicBackward<Real>& args) {
  return problem.activation.kind != ActivationKind::none && args.mask == nullptr;
}

// Whether backward reads x and mean; else both may be null.
template <class Real>
bool reads_x(const Problem& problem, const BasicBackward<Real>& args) {
  return args.statistics == Statistics::batch || args.dgamma != nullptr || differentiates(problem, args);
}

}  // namespace

template <class Real>
void validate(const Problem& problem, const BasicBackward<Real>& args, std::size_t scratch_bytes) {
  require_statistics(args.statistics);
  CallMemory memory(problem);
  Fusions fusions(problem, memory);
  fusions.types<Real>("Backward");
  fusions.trains("backward");
  if (problem.backward_from_output) {
    require_null("x", args.x.data, "problem.backward_from_output is true");
    memory.read_tensor("y", args.y, problem.destination);
  } else {
    require_null("y", args.y.data, "problem.backward_from_output is false");
    if (reads_x(problem, args)) memory.read_tensor("x", args.x, problem.source);
  }
  memory.read_tensor("dy", args.dy, problem.destination);
  if (problem.residual && differentiates(problem, args)) {
    fusions.residual(args.residual);
  } else if (!problem.residual) {
    fusions.residual(args.residual);
    require_null("d_residual", args.d_residual.data, "problem.residual is false");
  }
  if (args.dx.data != nullptr) memory.written_tensor("dx", args.dx, problem.source);
  if (args.d_residual.data != nullptr) memory.written_tensor("d_residual", args.d_residual, problem.destination);
  memory.read("gamma", args.gamma, Presence::optional);
  memory.read("beta", args.beta, Presence::optional);
  if (!problem.backward_from_output && reads_x(problem, args)) memory.read("mean", args.mean);
  memory.read("variance", args.variance);
  memory.written("dgamma", args.dgamma, Presence::optional);
  memory.written("dbeta", args.dbeta, Presence::optional);
  memory.scratch(args.scratch, scratch_bytes);
  fusions.only_with_relu(args.mask);
  memory.read_bytes("mask", args.mask, mask_bytes(problem), Presence::optional);
  if (problem.backward_from_output) {
    const bool saturates =
        problem.activation.kind == ActivationKind::sigmoid || problem.activation.kind == ActivationKind::tanh;
    memory.written("saturated", args.saturated, saturates ? Presence::required : Presence::optional);
  } else {
    require_null("saturated", args.saturated, "problem.backward_from_output is false");
  }
  fusions.lengths(args.lengths);
  if (problem.batch > 0 && problem.spatial > 0 && args.statistics == Statistics::batch) {
    fusions.weights(args.weights, args.lengths);
  } else if (!problem.weights) {
    require_null("weights", args.weights, "problem.weights is false");
  }
  if (problem.backward_from_output) require_invertible(problem, args);
}

template void validate(const Problem&, const ForwardTraining&, std::size_t);
template void validate(const Problem&, const ForwardInference&, std::size_t);
template void validate(const Problem&, const ForwardFolded&);
template void validate(const Problem&, const Backward&, std::size_t);
template void validate(const Problem&, const ForwardTraining64&, std::size_t);
template void validate(const Problem&, const ForwardInference64&, std::size_t);
template void validate(const Problem&, const ForwardFolded64&);
template void validate(const Problem&, const Backward64&, std::size_t);

Strides resolve(const Problem& problem, const Strides& strides) {
  return resolve_strides(problem.layout, nesting(problem.layout, problem.batch, problem.channels, problem.spatial),
                         strides);
}

}  // namespace xbn::internal
