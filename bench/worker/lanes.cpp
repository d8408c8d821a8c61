#include "lanes.hpp"

namespace bench {
namespace {

constexpr std::int64_t planar_lanes = 16;

}  // namespace

std::int64_t lanes_of(const Geometry& geometry) { return geometry.row == 1 ? planar_lanes : geometry.row; }

std::vector<double> spread_over_lanes(const Geometry& geometry, const std::vector<double>& channel_values) {
  if (geometry.row != 1) return channel_values;
  std::vector<double> lanes;
  lanes.reserve(channel_values.size() * planar_lanes);
  for (const double value : channel_values) lanes.insert(lanes.end(), planar_lanes, value);
  return lanes;
}

std::vector<std::vector<double>> reduce(const Geometry& geometry, int accumulators,
                                        const std::function<void(const Piece&, double*)>& accumulate,
                                        void (*combine)(double& into, double from)) {
  const std::int64_t lanes = lanes_of(geometry);
  const std::vector<Chunk> chunks = chunks_of(geometry);
  std::vector<std::vector<double>> partial(chunks.size());
  for_each_chunk(chunks, [&](const Chunk& chunk, std::size_t i) {
    partial[i].assign(static_cast<std::size_t>(accumulators * lanes), 0.0);
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t, std::int64_t rows) {
      accumulate({chunk.block, offset, rows * geometry.row}, partial[i].data());
    });
  });
  std::vector<std::vector<double>> result(static_cast<std::size_t>(accumulators),
                                          std::vector<double>(static_cast<std::size_t>(geometry.padded_channels())));
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    for (int a = 0; a < accumulators; ++a) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t channel = geometry.row == 1 ? chunks[i].block : chunks[i].block * geometry.row + lane;
        combine(result[a][channel], partial[i][a * lanes + lane]);
      }
    }
  }
  return result;
}

}  // namespace bench
