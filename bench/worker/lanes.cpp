#include "lanes.hpp"

namespace bench {
namespace {

constexpr std::int64_t planar_lanes = 16;

}  // namespace

std::int64_t lanes_of(const Geometry& geometry) { return geometry.row == 1 ? planar_lanes : geometry.row; }

template <class Wide>
std::vector<Wide> spread_over_lanes(const Geometry& geometry, const ChannelValues& channel_values) {
  const std::int64_t copies = geometry.row == 1 ? planar_lanes : 1;
  std::vector<Wide> lanes;
  lanes.reserve(channel_values.size() * static_cast<std::size_t>(copies));
  for (const long double value : channel_values) {
    lanes.insert(lanes.end(), static_cast<std::size_t>(copies), static_cast<Wide>(value));
  }
  return lanes;
}

template <class Wide>
std::vector<ChannelValues> reduce(const Geometry& geometry, int accumulators,
                                  const std::function<void(const Piece&, Wide*)>& accumulate,
                                  void (*combine)(long double& into, long double from)) {
  const std::int64_t lanes = lanes_of(geometry);
  const std::vector<Chunk> chunks = chunks_of(geometry);
  std::vector<std::vector<Wide>> partial(chunks.size());
  for_each_chunk(chunks, [&](const Chunk& chunk, std::size_t i) {
    partial[i].assign(static_cast<std::size_t>(accumulators * lanes), Wide{0});
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t, std::int64_t rows) {
      accumulate({chunk.block, offset, rows * geometry.row}, partial[i].data());
    });
  });
  std::vector<ChannelValues> result(static_cast<std::size_t>(accumulators),
                                    ChannelValues(static_cast<std::size_t>(geometry.padded_channels())));
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

template std::vector<double> spread_over_lanes(const Geometry&, const ChannelValues&);
template std::vector<long double> spread_over_lanes(const Geometry&, const ChannelValues&);
template std::vector<ChannelValues> reduce(const Geometry&, int, const std::function<void(const Piece&, double*)>&,
                                           void (*)(long double&, long double));
template std::vector<ChannelValues> reduce(const Geometry&, int, const std::function<void(const Piece&, long double*)>&,
                                           void (*)(long double&, long double));

}  // namespace bench
