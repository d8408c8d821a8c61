#pragma once

/// Batch normalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, a mean and a variance a channel.
/// S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
/// Shift", 2015. Accuracy and reproducibility are promised in docs/design.md, "The contract".

#include <cstddef>
#include <cstdint>
#include <memory>

#include "xbn/activation.hpp"
#include "xbn/executor.hpp"
#include "xbn/isa.hpp"
#include "xbn/tensor.hpp"

namespace xbn {

/// Where epsilon enters the reciprocal deviation.
enum class EpsilonPlacement {
  inside_root,   ///< 1 / sqrt(variance + epsilon): oneDNN, PyTorch, ONNX.
  outside_root,  ///< 1 / (sqrt(variance) + epsilon): the textbook form.
};

/// What an object is made for: y = f(gamma * (x - mean) / sqrt(variance + epsilon) + beta + residual), f an activation.
/// Which combinations there are, docs/types-and-fusions.md says; the constructor refuses the others by name.
struct Problem {
  Layout layout = Layout::ncx;
  std::int64_t batch = 0;     ///< N >= 0
  std::int64_t channels = 0;  ///< C >= 1
  std::int64_t spatial = 1;   ///< the product of width, height and depth, >= 0; 1 in layout nc
  double epsilon = 1e-5;      ///< finite, >= 0
  EpsilonPlacement epsilon_placement = EpsilonPlacement::inside_root;

  DataType source = DataType::f32;       ///< of x and dx
  DataType destination = DataType::f32;  ///< of y, dy, residual and d_residual
  Activation activation{};
  bool residual = false;  ///< a tensor is added before the activation

  /// Backward reads y in place of x, which is recovered through the inverse of activation and affine map, so that
  /// training keeps one tensor and not two: S. Rota Bulo, L. Porzi, P. Kontschieder, "In-Place Activated BatchNorm",
  /// 2018. The activation must have an inverse: none, leaky_relu with a slope > 0, sigmoid, tanh.
  bool backward_from_output = false;

  /// Samples are sequences of unequal length: each call is given `lengths`.
  bool lengths = false;
  /// Samples weigh differently in the statistics: each call that takes or differentiates them is given `weights`.
  bool weights = false;
};

/// How an object does its work. The defaults suit; none changes a result.
struct Options {
  const Executor* executor = nullptr;  ///< null: tbb_executor()
  CacheSizes caches{};                 ///< a size of zero: that of detected_cache_sizes()
};

/// Memory for a call's intermediate results, from the caller. Without it the object keeps a pool of its own, which
/// allocates only when more calls run at the same time than ever before.
struct Scratch {
  void* data = nullptr;   ///< any alignment
  std::size_t bytes = 0;  ///< at least BatchNorm::scratch_bytes() where data is not null
};

/// Divisor of a variance: population divides the squared deviations by the count, unbiased by the count less one.
enum class VarianceEstimate { population, unbiased };

/// How running statistics take in those of a batch: new = (1 - batch_weight) * old + batch_weight * batch.
struct RunningUpdate {
  double batch_weight = 0.1;
  VarianceEstimate estimate = VarianceEstimate::unbiased;

  /// PyTorch: new = (1 - momentum) * old + momentum * batch, unbiased variance.
  static RunningUpdate pytorch(double momentum = 0.1, VarianceEstimate estimate = VarianceEstimate::unbiased);
  /// ONNX: new = momentum * old + (1 - momentum) * batch, population variance.
  static RunningUpdate onnx(double momentum = 0.9, VarianceEstimate estimate = VarianceEstimate::population);
  /// The plain average of all batches: weight 1 / (batches_before + 1), where batches_before >= 0 went before this one.
  static RunningUpdate cumulative_average(std::int64_t batches_before,
                                          VarianceEstimate estimate = VarianceEstimate::unbiased);
};

/// Running statistics to update, `channels` elements each; both pointers or neither. With one element a channel there
/// is no unbiased variance, and the running one is left as it was; with weights there is none at all, and it is
/// refused.
template <class Real>
struct BasicRunningStatistics {
  Real* mean = nullptr;
  Real* variance = nullptr;
  RunningUpdate update{};
};

/// In every parameter struct: per-channel arrays have `channels` elements, in order, and may have any alignment. A null
/// gamma is all ones, a null beta all zeros. Per-channel arrays that are written must overlap nothing else of the call.

///
/// What all calls share beyond that, each wherever its struct has it:
/// - residual: required where the problem has one, else null. y may be residual.
/// - mask, with ReLU only and optional: one bit an element, which backward reads in place of what it would have to
///   compute; mask_bytes() of them. Bit i % 8 of byte i / 8 belongs to element i of its innermost run (a plane in ncx,
///   a row of channels in nc and nxc, a row of a block in nCx8c and nCx16c); each run starts on a byte, runs follow
///   each other in the order of a dense tensor. A bit is !(z <= 0), so that a NaN passes its gradient on; that of a pad
///   lane, and of a position behind its sample's length, is 0.
/// - lengths: `batch` numbers from 0 to `spatial`, required where the problem has them, else null. Positions from
///   lengths[n] on take part in nothing: they are not read, and y, dx and d_residual become 0 there.
/// - weights: `batch` numbers, finite, >= 0, one of them (with a length > 0) > 0: required where the problem has them,
///   else null. mean = sum of w x / sum of w, variance alike. They affect the statistics alone: y and dx of every
///   sample are written.

/// `Real` is float, or double where the problem's types are f64; so it is of every struct below.
template <class Real>
struct BasicForwardTraining {
  Input x;
  Output y;  ///< may be x
  const Real* gamma = nullptr;
  const Real* beta = nullptr;
  Real* mean = nullptr;      ///< written: the batch mean
  Real* variance = nullptr;  ///< written: the batch variance, population
  BasicRunningStatistics<Real> running{};
  Scratch scratch{};
  Input residual{};
  std::uint8_t* mask = nullptr;
  const std::int64_t* lengths = nullptr;
  const Real* weights = nullptr;
};

template <class Real>
struct BasicForwardInference {
  Input x;
  Output y;  ///< may be x
  const Real* gamma = nullptr;
  const Real* beta = nullptr;
  const Real* mean = nullptr;
  const Real* variance = nullptr;  ///< a negative one makes its channel NaN
  Scratch scratch{};
  Input residual{};
  std::uint8_t* mask = nullptr;
  const std::int64_t* lengths = nullptr;
};

/// z = (x - mean) * scale + shift, or z = x * scale + shift where mean is null. See xbn/folding.hpp.
template <class Real>
struct BasicForwardFolded {
  Input x;
  Output y;  ///< may be x
  const Real* mean = nullptr;
  const Real* scale = nullptr;
  const Real* shift = nullptr;
  Input residual{};
  std::uint8_t* mask = nullptr;
  const std::int64_t* lengths = nullptr;
};

/// Where the mean and variance that backward is given came from.
enum class Statistics {
  batch,  ///< forward_training computed them from this x: dx takes in their dependence on x.
  given,  ///< constants (frozen batch norm): dx = gamma * dy / sqrt(variance + epsilon).
};

/// Any of dx, dgamma, dbeta, d_residual may be null: it is then not computed. With given statistics x and mean are read
/// only for dgamma and for the derivative of an activation without mask, and may otherwise be null. beta and residual
/// are read for that derivative only, or with y; d_residual = dy * f'(z). From the output (backward_from_output), y is
/// given and x and residual are null; gamma may have no 0 and no |beta| may be more than 64 |gamma|; with sigmoid and
/// tanh, `saturated` is required.
template <class Real>
struct BasicBackward {
  Statistics statistics = Statistics::batch;
  Input x;
  Input dy;
  const Real* gamma = nullptr;
  const Real* mean = nullptr;
  const Real* variance = nullptr;
  Output dx;  ///< may be dy or x, or y
  Real* dgamma = nullptr;
  Real* dbeta = nullptr;
  Scratch scratch{};
  const Real* beta = nullptr;
  Input residual{};
  const std::uint8_t* mask = nullptr;  ///< as forward wrote it
  Output d_residual{};                 ///< may be dy, if dx is another
  Input y{};
  /// Written, `channels` numbers: elements that the activation has saturated, so that what is recovered of them is off
  /// by more than docs/types-and-fusions.md states.
  std::int64_t* saturated = nullptr;
  const std::int64_t* lengths = nullptr;
  const Real* weights = nullptr;
};

using RunningStatistics = BasicRunningStatistics<float>;
using ForwardTraining = BasicForwardTraining<float>;
using ForwardInference = BasicForwardInference<float>;
using ForwardFolded = BasicForwardFolded<float>;
using Backward = BasicBackward<float>;

using RunningStatistics64 = BasicRunningStatistics<double>;
using ForwardTraining64 = BasicForwardTraining<double>;
using ForwardInference64 = BasicForwardInference<double>;
using ForwardFolded64 = BasicForwardFolded<double>;
using Backward64 = BasicBackward<double>;

/// The phases of which the whole operations are composed: moments -> merge -> finalise -> forward_folded, and
/// gradient_sums -> merge -> finalise -> gradient_apply. Use them where the statistics cross the borders of one call:
/// synchronized batch norm (merge what other ranks send), ghost batch norm, accumulation over micro-batches. They are
/// for f32 tensors, without activation, residual, lengths and weights; an object made for these refuses them.

/// Count, mean and sum of squared deviations of some elements of each channel. T. F. Chan, G. H. Golub, R. J. LeVeque,
/// "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
struct Moments {
  std::int64_t count = 0;  ///< elements a channel; 0 is legal, and the arrays are then not read
  double* mean = nullptr;
  double* m2 = nullptr;
};

struct MomentsArgs {
  Input x;
  Moments* moments = nullptr;  ///< written
  Scratch scratch{};
};

/// From merged moments to everything that the apply phase and backward need. Any output may be null, save that a
/// ForwardFolded's three come together.
struct FinaliseArgs {
  const Moments* moments = nullptr;  ///< count >= 1
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float* mean = nullptr;      ///< written: the mean, rounded
  float* variance = nullptr;  ///< written: the population variance, rounded
  float* scale = nullptr;     ///< written, with shift, for ForwardFolded with this mean
  float* shift = nullptr;     ///< written: beta, and what rounding the mean lost
  RunningStatistics running{};
};

/// Sums over some elements of each channel, about the saved (rounded) mean.
struct GradientSums {
  std::int64_t count = 0;  ///< elements a channel; 0 is legal, and the arrays are then not read
  double* dy = nullptr;    ///< sum of dy
  double* dy_x = nullptr;  ///< sum of dy * (x - mean)
  double* x = nullptr;     ///< sum of x - mean: what rounding the mean lost
};

struct GradientSumsArgs {
  Input x;
  Input dy;
  const float* mean = nullptr;
  GradientSums* sums = nullptr;  ///< written
  Scratch scratch{};
};

/// From merged sums to dgamma, dbeta and the coefficients of dx = a * (dy + b * (x - mean) + c). Any output may be
/// null, save that a, b and c come together. A count of 0 makes every output 0.
struct FinaliseGradientArgs {
  Statistics statistics = Statistics::batch;
  const GradientSums* sums = nullptr;
  const float* gamma = nullptr;
  const float* variance = nullptr;
  float* dgamma = nullptr;
  float* dbeta = nullptr;
  float* a = nullptr;
  float* b = nullptr;
  float* c = nullptr;
};

/// dx = a * (dy + b * (x - mean) + c); with b null, dx = a * dy, and x, mean and c must be null.
struct GradientApply {
  Input x;
  Input dy;
  Output dx;  ///< may be dy or x
  const float* mean = nullptr;
  const float* a = nullptr;
  const float* b = nullptr;
  const float* c = nullptr;
};

/// Batch normalization of one problem. Immutable: any number of threads may call one object at the same time, each call
/// on tensors of its own. Construction validates the problem and plans; a call validates its arguments before it
/// touches memory. Both throw std::invalid_argument, whose message names the argument, what it must be and what it was;
/// nothing else is thrown but std::bad_alloc, by construction, scratch pool and TBB. Calls on an empty batch touch
/// nothing but dgamma and dbeta, which become 0; forward_training refuses one.
class BatchNorm {
 public:
  explicit BatchNorm(const Problem& problem, const Options& options = {});
  ~BatchNorm();
  BatchNorm(BatchNorm&&) noexcept;
  BatchNorm& operator=(BatchNorm&&) noexcept;

  const Problem& problem() const;

  /// The instruction set that this object uses, chosen when it was made.
  Isa isa() const;

  /// What any call of this object needs at most; the same for any number of threads.
  std::size_t scratch_bytes() const;

  /// Bytes of a mask.
  std::size_t mask_bytes() const;

  /// One element a channel is legal: variance 0, so y = beta.
  void forward_training(const ForwardTraining& args) const;
  void forward_inference(const ForwardInference& args) const;
  void forward_folded(const ForwardFolded& args) const;
  void backward(const Backward& args) const;

  /// The same where both types are f64; each kind of struct is refused where the other is meant.
  void forward_training(const ForwardTraining64& args) const;
  void forward_inference(const ForwardInference64& args) const;
  void forward_folded(const ForwardFolded64& args) const;
  void backward(const Backward64& args) const;

  void moments(const MomentsArgs& args) const;
  /// Takes `from` into `into`. The order of merges determines the last bits.
  void merge(Moments& into, const Moments& from) const;
  void finalise(const FinaliseArgs& args) const;

  void gradient_sums(const GradientSumsArgs& args) const;
  void merge(GradientSums& into, const GradientSums& from) const;
  void finalise(const FinaliseGradientArgs& args) const;
  void gradient_apply(const GradientApply& args) const;

 private:
  struct Implementation;
  std::unique_ptr<const Implementation> implementation_;
};

}  // namespace xbn
