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

/// Integers cover their range; f64 has digits beyond those of f32, save where sums must be exact.
struct Spread {
  double factor;
  double offset;
};

Spread spread_of(Data data, xbn::DataType type) {
  switch (type) {
    case xbn::DataType::s8:
      return {data == Data::exact ? 32.0 : 16.0, 0};
    case xbn::DataType::u8:
      return {data == Data::exact ? 32.0 : 16.0, 96};
    case xbn::DataType::f64:
      return {data == Data::exact ? 1 : 1 + 0x1p-20 / 3, 0};
    default:
      return {1, 0};
  }
}

/// `make(chunk index)` returns what gives element `index` of channel `channel`, called in order within a chunk.
template <class Make>
void fill_tensor(Data data, const Geometry& geometry, const Tensor& tensor, const Make& make) {
  const std::vector<Chunk> chunks = chunks_of(geometry);
  const Spread spread = spread_of(data, tensor.type);
  for_each_chunk(chunks, [&](const Chunk& chunk, std::size_t chunk_index) {
    auto element = make(chunk_index);
    std::vector<double> values;
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t first_row, std::int64_t rows) {
      values.clear();
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t lane = 0; lane < geometry.row; ++lane) {
          const std::int64_t channel = chunk.block * geometry.row + lane;
          const bool pad = channel >= geometry.channels;
          values.push_back(pad ? 0 : element(channel, first_row + r) * spread.factor + spread.offset);
        }
      }
      xbn::convert(values.data(), xbn::DataType::f64, tensor.at(offset), tensor.type, rows * geometry.row);
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

/// Binary orders of magnitude that huge and tiny data are away from 1: no value may overflow, nor all vanish.
int exponent_of(Data data, xbn::DataType type) {
  if (data == Data::huge) return type == xbn::DataType::f16 ? 11 : 50;
  return type == xbn::DataType::f16 ? -12 : -60;
}

float normal_x(Data data, xbn::DataType type, std::int64_t channel, float deviate) {
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
    case Data::tiny:
      return std::ldexp(value, exponent_of(data, type));
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

void fill_x(Data data, const Geometry& geometry, const Tensor& x) {
  if (data == Data::exact) {
    return fill_tensor(data, geometry, x, [&](std::size_t) { return ExactX{geometry.elements_per_channel()}; });
  }
  fill_tensor(data, geometry, x, [&](std::size_t chunk) {
    return [data, type = x.type, deviate = normal_generator(3 * chunk)](std::int64_t channel, std::int64_t) mutable {
      return normal_x(data, type, channel, deviate());
    };
  });
}

void fill_dy(Data data, const Geometry& geometry, const Tensor& dy) {
  if (data == Data::exact) return fill_tensor(data, geometry, dy, [](std::size_t) { return exact_dy; });
  fill_tensor(data, geometry, dy, [](std::size_t chunk) {
    return [deviate = normal_generator(3 * chunk + 1)](std::int64_t, std::int64_t) mutable { return 0.1f + deviate(); };
  });
}

void fill_residual(const Geometry& geometry, const Tensor& residual) {
  fill_tensor(Data::normal, geometry, residual, [](std::size_t chunk) {
    return [deviate = normal_generator(3 * chunk + 2)](std::int64_t, std::int64_t) mutable { return deviate(); };
  });
}

void fill_parameters(const Case& test_case, const Geometry& geometry, const Tensors& tensors) {
  // Integers that are written shall cover their range.
  const bool integers =
      test_case.types.destination == xbn::DataType::s8 || test_case.types.destination == xbn::DataType::u8;
  const double range = integers ? 32 : 1;
  for (std::int64_t c = 0; c < geometry.padded_channels(); ++c) {
    const double gamma = static_cast<double>(c % 3 + 1) * (c % 2 == 0 ? 0.5 : -0.5) * range;
    const double beta = static_cast<double>(c % 7 - 3) * 0.125 * range;
    const bool pad = c >= geometry.channels;
    tensors.gamma.set(c, pad ? 0 : test_case.flags.gamma ? gamma : 1);
    tensors.beta.set(c, pad || !test_case.flags.beta ? 0 : beta);
  }
}

}  // namespace bench
