#include "xbn/batch_norm.hpp"

#include <algorithm>
#include <optional>

#include "driver.hpp"
#include "fused_driver.hpp"
#include "isa.hpp"
#include "scratch_pool.hpp"
#include "validate.hpp"

namespace xbn {

using internal::Driver;
using internal::FusedDriver;
using internal::Machine;
using internal::ScratchLease;
using internal::TensorIn;
using internal::TensorOut;
using internal::Tiling;

namespace {

const Problem& validated(const Problem& problem) {
  internal::validate(problem);
  return problem;
}

CacheSizes known_caches(CacheSizes caches) {
  const CacheSizes detected = detected_cache_sizes();
  if (caches.private_bytes == 0) caches.private_bytes = detected.private_bytes;
  if (caches.shared_bytes == 0) {
    caches.shared_bytes = detected.shared_bytes;
    if (caches.likely_bytes == 0) caches.likely_bytes = detected.likely_bytes;
  }
  return caches;
}

kernels::MomentsOut arrays_of(const Moments& moments) { return {moments.mean, moments.m2}; }

}  // namespace

struct BatchNorm::Implementation {
  Implementation(const Problem& problem_, const Options& options)
      : problem(validated(problem_)),
        isa(current_isa()),
        machine{internal::kernel_table(isa), options.executor != nullptr ? *options.executor : tbb_executor(),
                known_caches(options.caches)},
        tiling(internal::make_tiling(problem)),
        driver(problem, tiling, machine),
        floats(make_fused<float>(!internal::is_plain(problem) && problem.source != DataType::f64)),
        doubles(make_fused<double>(problem.source == DataType::f64)),
        scratch_bytes(floats    ? floats->scratch_bytes()
                      : doubles ? doubles->scratch_bytes()
                                : internal::scratch_bytes(problem, tiling)),
        pool(scratch_bytes) {}

  // The driver of problems that are not plain.
  template <class Real>
  std::optional<FusedDriver<Real>> make_fused(bool needed) const {
    if (!needed) return std::nullopt;
    return std::optional<FusedDriver<Real>>(
        std::in_place, problem, internal::FusedMachine{internal::fused_tables(isa), machine.executor, machine.caches});
  }

  bool empty() const { return problem.batch == 0 || problem.spatial == 0; }

  TensorIn resolve(const Input& tensor) const {
    return {static_cast<const float*>(tensor.data), internal::resolve(problem, tensor.strides)};
  }
  TensorOut resolve(const Output& tensor) const {
    return {static_cast<float*>(tensor.data), internal::resolve(problem, tensor.strides), tensor.owns_padding};
  }

  Problem problem;
  Isa isa;
  Machine machine;
  Tiling tiling;
  Driver driver;
  std::optional<FusedDriver<float>> floats;
  std::optional<FusedDriver<double>> doubles;
  std::size_t scratch_bytes;
  mutable internal::ScratchPool pool;
};

BatchNorm::BatchNorm(const Problem& problem, const Options& options)
    : implementation_(std::make_unique<const Implementation>(problem, options)) {}
BatchNorm::~BatchNorm() = default;
BatchNorm::BatchNorm(BatchNorm&&) noexcept = default;
BatchNorm& BatchNorm::operator=(BatchNorm&&) noexcept = default;

const Problem& BatchNorm::problem() const { return implementation_->problem; }
Isa BatchNorm::isa() const { return implementation_->isa; }
std::size_t BatchNorm::scratch_bytes() const { return implementation_->scratch_bytes; }

std::size_t BatchNorm::mask_bytes() const { return internal::mask_bytes(implementation_->problem); }

void BatchNorm::forward_training(const ForwardTraining& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  const ScratchLease scratch(of.pool, args.scratch.data);
  if (of.floats) return of.floats->forward_training(args, scratch.get());
  of.driver.forward_training(args, of.resolve(args.x), of.resolve(args.y),
                             internal::forward_scratch(of.problem, of.tiling, scratch.get()));
}

void BatchNorm::forward_training(const ForwardTraining64& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  const ScratchLease scratch(of.pool, args.scratch.data);
  of.doubles->forward_training(args, scratch.get());
}

void BatchNorm::forward_inference(const ForwardInference& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  if (of.empty()) return;
  const ScratchLease lease(of.pool, args.scratch.data);
  if (of.floats) return of.floats->forward_inference(args, lease.get());
  const internal::ForwardScratch scratch = internal::forward_scratch(of.problem, of.tiling, lease.get());
  of.machine.kernels.finalise_given(of.problem.channels, {args.variance, args.gamma, args.beta, of.problem.epsilon,
                                                          of.problem.epsilon_placement, scratch.scale, scratch.shift});
  of.driver.apply(of.resolve(args.x), of.resolve(args.y), {args.mean, scratch.scale, scratch.shift});
}

void BatchNorm::forward_inference(const ForwardInference64& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  if (of.empty()) return;
  const ScratchLease scratch(of.pool, args.scratch.data);
  of.doubles->forward_inference(args, scratch.get());
}

void BatchNorm::forward_folded(const ForwardFolded& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args);
  if (of.empty()) return;
  if (of.floats) return of.floats->forward_folded(args);
  of.driver.apply(of.resolve(args.x), of.resolve(args.y), {args.mean, args.scale, args.shift});
}

void BatchNorm::forward_folded(const ForwardFolded64& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args);
  if (!of.empty()) of.doubles->forward_folded(args);
}

namespace {

// What there is to do where no element is: a sum of nothing is 0.
template <class Real>
void clear_sums(const Problem& problem, const BasicBackward<Real>& args) {
  for (Real* const sums : {args.dgamma, args.dbeta}) {
    if (sums != nullptr) std::fill_n(sums, problem.channels, Real{0});
  }
  if (args.saturated != nullptr) std::fill_n(args.saturated, problem.channels, 0);
}

template <class Real>
bool wants_nothing(const BasicBackward<Real>& args) {
  return args.dx.data == nullptr && args.dgamma == nullptr && args.dbeta == nullptr &&
         args.d_residual.data == nullptr && args.saturated == nullptr;
}

}  // namespace

void BatchNorm::backward(const Backward& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  if (of.empty()) return clear_sums(of.problem, args);
  if (wants_nothing(args)) return;
  const ScratchLease scratch(of.pool, args.scratch.data);
  if (of.floats) return of.floats->backward(args, scratch.get());
  of.driver.backward(args, of.resolve(args.x), of.resolve(args.dy), of.resolve(args.dx),
                     internal::backward_scratch(of.problem, of.tiling, scratch.get()));
}

void BatchNorm::backward(const Backward64& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  if (of.empty()) return clear_sums(of.problem, args);
  if (wants_nothing(args)) return;
  const ScratchLease scratch(of.pool, args.scratch.data);
  of.doubles->backward(args, scratch.get());
}

void BatchNorm::moments(const MomentsArgs& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  args.moments->count = of.problem.batch * of.problem.spatial;
  if (of.empty()) return;
  const ScratchLease scratch(of.pool, args.scratch.data);
  of.driver.moments(of.resolve(args.x), internal::forward_scratch(of.problem, of.tiling, scratch.get()),
                    arrays_of(*args.moments));
}

void BatchNorm::merge(Moments& into, const Moments& from) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, into, from);
  if (from.count == 0) return;
  if (into.count == 0) {
    std::copy_n(from.mean, of.problem.channels, into.mean);
    std::copy_n(from.m2, of.problem.channels, into.m2);
  } else {
    of.machine.kernels.merge_moments(of.problem.channels, into.count, arrays_of(into), from.count, arrays_of(from));
  }
  into.count += from.count;
}

void BatchNorm::finalise(const FinaliseArgs& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args);
  of.machine.kernels.finalise_forward(
      of.problem.channels, {static_cast<double>(args.moments->count), args.moments->mean, args.moments->m2, args.gamma,
                            args.beta, of.problem.epsilon, of.problem.epsilon_placement, args.mean, args.variance,
                            args.scale, args.shift, args.running});
}

void BatchNorm::gradient_sums(const GradientSumsArgs& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args, of.scratch_bytes);
  args.sums->count = of.problem.batch * of.problem.spatial;
  if (of.empty()) return;
  const ScratchLease scratch(of.pool, args.scratch.data);
  of.driver.gradient_sums(of.resolve(args.x), of.resolve(args.dy), args.mean,
                          internal::backward_scratch(of.problem, of.tiling, scratch.get()),
                          {args.sums->dy, args.sums->dy_x, args.sums->x});
}

void BatchNorm::merge(GradientSums& into, const GradientSums& from) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, into, from);
  if (from.count == 0) return;
  double* const to[] = {into.dy, into.dy_x, into.x};
  const double* const more[] = {from.dy, from.dy_x, from.x};
  for (int i = 0; i < 3; ++i) {
    if (into.count == 0) {
      std::copy_n(more[i], of.problem.channels, to[i]);
    } else {
      of.machine.kernels.add(of.problem.channels, to[i], more[i]);
    }
  }
  into.count += from.count;
}

void BatchNorm::finalise(const FinaliseGradientArgs& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args);
  if (args.sums->count == 0) {
    for (float* out : {args.dgamma, args.dbeta, args.a, args.b, args.c}) {
      if (out != nullptr) std::fill_n(out, of.problem.channels, 0.0F);
    }
    return;
  }
  of.machine.kernels.finalise_backward(
      of.problem.channels, {static_cast<double>(args.sums->count), args.statistics, args.sums->dy, args.sums->dy_x,
                            args.sums->x, args.gamma, args.variance, of.problem.epsilon, of.problem.epsilon_placement,
                            args.dgamma, args.dbeta, args.a, args.b, args.c});
}

void BatchNorm::gradient_apply(const GradientApply& args) const {
  const Implementation& of = *implementation_;
  internal::validate(of.problem, args);
  if (of.empty()) return;
  of.driver.gradient_apply(of.resolve(args.x), of.resolve(args.dy), of.resolve(args.dx),
                           {args.mean, args.a, args.b, args.c});
}

}  // namespace xbn
