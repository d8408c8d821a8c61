#include "data.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace bench {
namespace {

constexpr std::array<std::string_view, 9> names{"exact",   "normal", "offset", "two_valued", "constant",
                                                "clipped", "sparse", "huge",   "tiny"};

std::uint64_t mix(std::uint64_t value) {
  value *= 0x9E3779B97F4A7C15u;
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93u;
  return value ^ (value >> 32);
}

/// `make(chunk index)` returns what gives element `index` of channel `channel`, called in order within a chunk.
template <class Make>
void fill_tensor(const Geometry& geometry, float* data, const Make& make) {
  const std::vector<Chunk> chunks = chunks_of(geometry);
  for_each_chunk(chunks, [&](const Chunk& chunk, std::size_t chunk_index) {
    auto element = make(chunk_index);
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t first_row, std::int64_t rows) {
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t lane = 0; lane < geometry.row; ++lane) {
          const std::int64_t channel = chunk.block * geometry.row + lane;
          data[offset + r * geometry.row + lane] = channel < geometry.channels ? element(channel, first_row + r) : 0.0f;
        }
      }
    });
  });
}

/// Multiples of 1/4 of magnitude 1 at most, in pairs about the channel's mean.
struct ExactX {
  std::int64_t elements_per_channel;

  float operator()(std::int64_t channel, std::int64_t index) const {
    const float mean = static_cast<float>(channel % 5 - 2) * 0.25f;
    if (index == (elements_per_channel | 1) - 1) return mean;
    const std::uint64_t bits = mix(static_cast<std::uint64_t>(index / 2 * 4099 + channel));
    const float deviation = (bits & 1) != 0 ? 0.25f : 0.5f;
    return (((bits >> 1) ^ static_cast<std::uint64_t>(index)) & 1) != 0 ? mean + deviation : mean - deviation;
  }
};

/// Multiples of 1/4 from -1/2 to 3/4.
float exact_dy(std::int64_t channel, std::int64_t index) {
  const std::uint64_t bits = mix(static_cast<std::uint64_t>(index * 4093 + channel) ^ 0x5555u);
  return static_cast<float>(static_cast<int>(bits % 6) - 2) * 0.25f;
}

float normal_x(Data data, std::int64_t channel, float deviate) {
  const auto c = static_cast<float>(channel % 61);
  const float sigma = 0.5f + c * 0.025f;
  const float mean = (c - 30.0f) * 0.0625f;
  const float value = mean + sigma * deviate;
  switch (data) {
    case Data::offset:
      return sigma * (channel % 2 == 0 ? 1000.0f : -1000.0f) + sigma * deviate;
    case Data::two_valued:
      return deviate < 0 ? -sigma : sigma;
    case Data::constant:
      return mean + 0.1f;
    case Data::clipped:
      return std::max(value, 0.0f);
    case Data::sparse:
      return std::max(sigma * (deviate - 3.0f), 0.0f);
    case Data::huge:
      return std::ldexp(value, 50);
    case Data::tiny:
      return std::ldexp(value, -60);
    default:
      return value;
  }
}

auto normal_generator(std::uint64_t seed) {
  return [engine = std::mt19937_64(mix(seed)), normal = std::normal_distribution<float>()]() mutable {
    return normal(engine);
  };
}

}  // namespace

std::string_view name(Data data) { return names[static_cast<std::size_t>(data)]; }

void fill_x(Data data, const Geometry& geometry, float* x) {
  if (data == Data::exact) {
    fill_tensor(geometry, x, [&](std::size_t) { return ExactX{geometry.elements_per_channel()}; });
    return;
  }
  fill_tensor(geometry, x, [&](std::size_t chunk) {
    return [data, deviate = normal_generator(2 * chunk)](std::int64_t channel, std::int64_t) mutable {
      return normal_x(data, channel, deviate());
    };
  });
}

void fill_dy(Data data, const Geometry& geometry, float* dy) {
  if (data == Data::exact) {
    fill_tensor(geometry, dy, [](std::size_t) { return exact_dy; });
    return;
  }
  fill_tensor(geometry, dy, [](std::size_t chunk) {
    return [deviate = normal_generator(2 * chunk + 1)](std::int64_t, std::int64_t) mutable { return 0.1f + deviate(); };
  });
}

void fill_parameters(const Case& test_case, const Geometry& geometry, const Tensors& tensors) {
  std::fill_n(tensors.gamma, geometry.padded_channels(), 0.0f);
  std::fill_n(tensors.beta, geometry.padded_channels(), 0.0f);
  for (std::int64_t c = 0; c < geometry.channels; ++c) {
    const float gamma = static_cast<float>(c % 3 + 1) * (c % 2 == 0 ? 0.5f : -0.5f);
    tensors.gamma[c] = test_case.flags.gamma ? gamma : 1.0f;
    tensors.beta[c] = test_case.flags.beta ? static_cast<float>(c % 7 - 3) * 0.125f : 0.0f;
  }
}

}  // namespace bench
