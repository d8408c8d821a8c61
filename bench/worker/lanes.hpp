#pragma once

/// Reductions over a tensor in double or long double, lane by lane so that the compiler vectorises them, the same bits
/// for any number of threads.

#include <functional>
#include <type_traits>
#include <vector>

#include "tensors.hpp"

namespace bench {

/// Contiguous elements of one block. Element i belongs to lane i mod lanes: a channel of the block, or, in ncx, one of
/// several accumulators for the one channel.
struct Piece {
  std::int64_t block;
  std::int64_t offset;
  std::int64_t count;
};

/// A value for each padded channel.
using ChannelValues = std::vector<long double>;

/// What elements are compared in: more than twice the digits of f32, and eleven bits more than f64.
template <class Real>
using WideOf = std::conditional_t<std::is_same_v<Real, double>, long double, double>;

std::int64_t lanes_of(const Geometry& geometry);

/// The values of a block's lanes, block after block, from those of the padded channels.
template <class Wide>
std::vector<Wide> spread_over_lanes(const Geometry& geometry, const ChannelValues& channel_values);

/// `accumulators` arrays of lanes begin at 0; `accumulate` takes a piece into them; `combine` takes one value into
/// another.
template <class Wide>
std::vector<ChannelValues> reduce(const Geometry& geometry, int accumulators,
                                  const std::function<void(const Piece&, Wide*)>& accumulate,
                                  void (*combine)(long double& into, long double from));

/// Calls step(i, lane) for the elements of a piece.
template <class Step>
void for_each_element(const Piece& piece, std::int64_t lanes, const Step& step) {
  const std::int64_t whole_rows = piece.count / lanes * lanes;
  for (std::int64_t i = 0; i < whole_rows; i += lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) step(i + lane, lane);
  }
  for (std::int64_t lane = 0; lane < piece.count - whole_rows; ++lane) step(whole_rows + lane, lane);
}

/// A tensor's elements in float or double, whatever their type.
template <class Real>
class Elements {
 public:
  /// A null tensor is all zeros.
  Elements(const Tensor& tensor, const Piece& piece) {
    if (tensor.data != nullptr && tensor.type == xbn::data_type_of<Real>) {
      first_ = tensor.as<Real>() + piece.offset;
      return;
    }
    converted_.resize(static_cast<std::size_t>(piece.count));
    first_ = converted_.data();
    if (tensor.data == nullptr) return;
    xbn::convert(tensor.at(piece.offset), tensor.type, converted_.data(), xbn::data_type_of<Real>, piece.count);
  }

  Real operator[](std::int64_t i) const { return first_[i]; }

 private:
  std::vector<Real> converted_{};
  const Real* first_;
};

}  // namespace bench
