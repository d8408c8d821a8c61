#pragma once

/// Batch normalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, a mean and a variance a channel.
/// S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
/// Shift", 2015. Accuracy and reproducibility are promised in docs/design.md, "The contract".

#include <cstddef>
#include <cstdint>
#include <memory>

#include "xbn/executor.hpp"
#include "xbn/isa.hpp"
#include "xbn/tensor.hpp"

namespace xbn {

/// Where epsilon enters the reciprocal deviation.
enum class EpsilonPlacement {
  inside_root,   ///< 1 / sqrt(variance + epsilon): oneDNN, PyTorch, ONNX.
  outside_root,  ///< 1 / (sqrt(variance) + epsilon): the textbook form.
};

/// What an object is made for.
struct Problem {
  Layout layout = Layout::ncx;
  std::int64_t batch = 0;     ///< N >= 0
  std::int64_t channels = 0;  ///< C >= 1
  std::int64_t spatial = 1;   ///< the product of width, height and depth, >= 0; 1 in layout nc
  double epsilon = 1e-5;      ///< finite, >= 0
  EpsilonPlacement epsilon_placement = EpsilonPlacement::inside_root;
};

/// How an object does its work. The defaults suit; none changes a result.
struct Options {
  const Executor* executor = nullptr;  ///< null: tbb_executor()
  CacheSizes caches{};                 ///< a zero member: that of detected_cache_sizes()
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
/// is no unbiased variance, and the running one is left as it was.
struct RunningStatistics {
  float* mean = nullptr;
  float* variance = nullptr;
  RunningUpdate update{};
};

/// In every parameter struct: per-channel arrays have `channels` elements, in order, and may have any alignment. A null
/// gamma is all ones, a null beta all zeros. Per-channel arrays that are written must overlap nothing else of the call.

struct ForwardTraining {
  Input x;
  Output y;  ///< may be x
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float* mean = nullptr;      ///< written: the batch mean
  float* variance = nullptr;  ///< written: the batch variance, population
  RunningStatistics running{};
  Scratch scratch{};
};

struct ForwardInference {
  Input x;
  Output y;  ///< may be x
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;  ///< a negative one makes its channel NaN
  Scratch scratch{};
};

/// y = (x - mean) * scale + shift, or y = x * scale + shift where mean is null. See xbn/folding.hpp.
struct ForwardFolded {
  Input x;
  Output y;  ///< may be x
  const float* mean = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
};

/// Where the mean and variance that backward is given came from.
enum class Statistics {
  batch,  ///< forward_training computed them from this x: dx takes in their dependence on x.
  given,  ///< constants (frozen batch norm): dx = gamma * dy / sqrt(variance + epsilon).
};

/// Any of dx, dgamma, dbeta may be null: it is then not computed. With given statistics x and mean are read only for
/// dgamma, and may otherwise be null.
struct Backward {
  Statistics statistics = Statistics::batch;
  Input x;
  Input dy;
  const float* gamma = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;
  Output dx;  ///< may be dy or x
  float* dgamma = nullptr;
  float* dbeta = nullptr;
  Scratch scratch{};
};

/// The phases of which the whole operations are composed: moments -> merge -> finalise -> forward_folded, and
/// gradient_sums -> merge -> finalise -> gradient_apply. Use them where the statistics cross the borders of one call:
/// synchronized batch norm (merge what other ranks send), ghost batch norm, accumulation over micro-batches.

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

/// From merged sums to dgamma, dbeta and the coefficients of dx = a * dy + b * (x - mean) + c. Any output may be null,
/// save that a, b and c come together. A count of 0 makes every output 0.
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

/// dx = a * dy + b * (x - mean) + c; with b null, dx = a * dy, and x, mean and c must be null.
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

  /// One element a channel is legal: variance 0, so y = beta.
  void forward_training(const ForwardTraining& args) const;
  void forward_inference(const ForwardInference& args) const;
  void forward_folded(const ForwardFolded& args) const;
  void backward(const Backward& args) const;

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
