#pragma once

/// Reductions over a tensor in double, lane by lane so that the compiler vectorises them, the same bits for any number
/// of threads.

#include <functional>
#include <vector>

#include "geometry.hpp"

namespace bench {

/// Contiguous elements of one block. Element i belongs to lane i mod lanes: a channel of the block, or, in ncx, one of
/// several accumulators for the one channel.
struct Piece {
  std::int64_t block;
  std::int64_t offset;
  std::int64_t count;
};

std::int64_t lanes_of(const Geometry& geometry);

/// The values of a block's lanes, block after block, from those of the padded channels.
std::vector<double> spread_over_lanes(const Geometry& geometry, const std::vector<double>& channel_values);

/// `accumulators` arrays of lanes begin at 0; `accumulate` takes a piece into them; `combine` takes one value into
/// another. Returns `accumulators` arrays of padded channels.
std::vector<std::vector<double>> reduce(const Geometry& geometry, int accumulators,
                                        const std::function<void(const Piece&, double*)>& accumulate,
                                        void (*combine)(double& into, double from));

/// Calls step(i, lane) for the elements of a piece.
template <class Step>
void for_each_element(const Piece& piece, std::int64_t lanes, const Step& step) {
  const std::int64_t whole_rows = piece.count / lanes * lanes;
  for (std::int64_t i = 0; i < whole_rows; i += lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) step(i + lane, lane);
  }
  for (std::int64_t lane = 0; lane < piece.count - whole_rows; ++lane) step(whole_rows + lane, lane);
}

}  // namespace bench
