#pragma once

/// Batch normalization in two passes, in double, of f64 in long double.

#include "lanes.hpp"
#include "reference_activation.hpp"

namespace bench {

/// Of a batch.
struct Statistics {
  ChannelValues mean{};
  ChannelValues variance{};
};

Statistics batch_statistics(const Geometry& geometry, const Tensor& x);

/// What the elements of a case's outputs are computed from, channel by channel. dz = dy * f'(z).
struct Reference {
  Statistics statistics{};
  ChannelValues reciprocal_deviation{};
  ChannelValues scale{};
  ChannelValues shift{};
  /// Of z, relative to max(|z|, |beta|, |gamma|, |residual|): what the contract allows.
  ChannelValues z_error{};
  ChannelValues sum_dz{};  ///< this and the following: backward only
  ChannelValues sum_abs_dz{};
  ChannelValues sum_dz_xhat{};
  ChannelValues sum_abs_dz_xhat{};
  ChannelValues sum_dz_error{};  ///< of how far each dz may be off, and that times |xhat|
  ChannelValues sum_dz_xhat_error{};
};

/// 2^-23, or 2^-52 where parameters are f64: the contract's ulp.
double contract_ulp(const Case& test_case);

/// `batch` are the statistics of x. A case with given statistics takes those of `tensors` instead, which are then exact
/// by definition. In backward with a mask `tensors.passed` stands for it.
Reference reference_of(const Case& test_case, const Geometry& geometry, const Tensors& tensors,
                       const Statistics& batch);

/// Takes x and dy of a piece to dz, and to how far that may be off where a derivative is computed from a z that is.
template <class Real>
class GradientOfZ {
 public:
  using Wide = WideOf<Real>;

  GradientOfZ(const Case& test_case, const Geometry& geometry, const Tensors& tensors, const Reference& reference);

  struct Result {
    Wide dz;
    Wide error;
  };

  /// Of element `offset` of the tensors, in lane `p` of all.
  Result at(std::int64_t offset, std::int64_t p, Real x, Real dy) const {
    if (!activated_) return {dy, 0};
    const Wide z = (x - means_[p]) * scales_[p] + shifts_[p];
    if (passed_ != nullptr) {
      // What passed is told by y, where a little z may have become 0.
      return {passed_[offset] != 0 ? Wide{dy} : Wide{0}, z > 0 && z <= vanishing_ ? std::abs(Wide{dy}) : Wide{0}};
    }
    const Wide z_error = relative_[p] * std::max(std::abs(z), least_[p]);
    const Wide of_computing = activation_.transcendental() ? 8 * ulp_ : 0;
    return {dy * activation_.derivative(z), std::abs(Wide{dy}) * (activation_.uncertainty(z, z_error) + of_computing)};
  }

 private:
  ReferenceActivation<Wide> activation_;
  bool activated_;
  const std::uint8_t* passed_;
  Wide ulp_;
  Wide vanishing_;
  std::vector<Wide> means_, scales_, shifts_, least_, relative_;
};

}  // namespace bench
