#include "data.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace xbn::test {
namespace {

using Generator = std::mt19937_64;

Generator seeded(std::uint64_t seed, std::int64_t channel) {
  return Generator(seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(channel));
}

/// In [0, 1), multiples of 2^-24.
float unit(Generator& generator) { return static_cast<float>(generator() >> 40) * 0x1p-24f; }

/// The values of a channel: pairs mean + k and mean - k, k from 1/2 to 4, in random order; the mean itself where one is
/// left over. The mean is never 0, so that what double leaves of a sum of zero rounds away.
Values exact_channel(std::int64_t count, std::int64_t channel, Generator& generator) {
  const float mean = (channel % 2 == 0 ? 1.0f : -1.0f) * static_cast<float>(1 + channel % 5);
  Values values(count, mean);
  for (std::int64_t i = 0; i + 1 < count; i += 2) {
    const float k = 0.5f * static_cast<float>(1 + generator() % 8);
    values[i] = mean + k;
    values[i + 1] = mean - k;
  }
  std::shuffle(values.begin(), values.end(), generator);
  return values;
}

Values normal_channel(std::int64_t count, double mean, double sigma, Generator& generator) {
  std::normal_distribution<double> distribution(mean, sigma);
  Values values(count);
  for (float& value : values) value = static_cast<float>(distribution(generator));
  return values;
}

Values channel_of(Data data, std::int64_t count, std::int64_t channel, Generator& generator) {
  const double sign = channel % 2 == 0 ? 1 : -1;
  const double sigma = 0.25 * static_cast<double>(1 + channel % 7);
  const double mean = sign * 0.5 * static_cast<double>(channel % 3);
  Values values(count);
  switch (data) {
    case Data::exact:
      return exact_channel(count, channel, generator);
    case Data::normal:
      return normal_channel(count, mean, sigma, generator);
    case Data::uniform:
      for (float& value : values) value = unit(generator);
      return values;
    case Data::two_valued:
      for (float& value : values) value = unit(generator) < 0.25f ? 1.7f : 0.3f;
      return values;
    case Data::plus_minus:
      for (float& value : values) value = unit(generator) < 0.5f ? 0.1f : -0.1f;
      return values;
    case Data::clipped:
      values = normal_channel(count, 0, sigma, generator);
      for (float& value : values) value = std::max(value, 0.0f);
      return values;
    case Data::pixels:
      for (float& value : values) value = static_cast<float>(generator() % 256);
      return values;
    case Data::kappa_100:
      return normal_channel(count, sign * 100 * sigma, sigma, generator);
    case Data::kappa_1000:
      return normal_channel(count, sign * 1000 * sigma, sigma, generator);
    case Data::kappa_10000:
      return normal_channel(count, sign * 10000 * sigma, sigma, generator);
    case Data::outliers:
      values = normal_channel(count, mean, sigma, generator);
      for (float& value : values) value *= generator() % 997 == 0 ? 1000.0f : 1.0f;
      return values;
    case Data::constant:
      return Values(count, 0.1f * static_cast<float>(channel + 1));
    case Data::tiny:
      return normal_channel(count, 1e-30 * mean, 1e-30 * sigma, generator);
    case Data::huge:
      return normal_channel(count, 1e30 * mean, 1e30 * sigma, generator);
  }
  return values;
}

}  // namespace

const char* name(Data data) {
  static constexpr const char* kNames[] = {"exact",    "normal",   "uniform",   "two_valued", "plus_minus",
                                           "clipped",  "pixels",   "kappa_100", "kappa_1000", "kappa_10000",
                                           "outliers", "constant", "tiny",      "huge"};
  return kNames[static_cast<int>(data)];
}

bool is_ordinary(Data data) {
  return data == Data::exact || data == Data::normal || data == Data::uniform || data == Data::two_valued ||
         data == Data::plus_minus || data == Data::clipped || data == Data::pixels;
}

const std::vector<Data>& every_data() {
  static const std::vector<Data> kinds = [] {
    std::vector<Data> all;
    for (int i = 0; i <= static_cast<int>(Data::huge); ++i) all.push_back(static_cast<Data>(i));
    return all;
  }();
  return kinds;
}

Values generate(Data data, const Shape& shape, std::uint64_t seed) {
  Values values(shape.elements());
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    Generator generator = seeded(seed, c);
    const Values channel = channel_of(data, shape.count(), c, generator);
    for (std::int64_t n = 0; n < shape.batch; ++n) {
      std::copy_n(channel.begin() + n * shape.spatial, shape.spatial,
                  values.begin() + (n * shape.channels + c) * shape.spatial);
    }
  }
  return values;
}

Values exact_gradients(const Shape& shape, std::uint64_t seed) {
  Generator generator = seeded(seed, 1);
  Values values(shape.elements());
  for (float& value : values) value = 0.25f * static_cast<float>(static_cast<int>(generator() % 17) - 8);
  return values;
}

Values correlated_gradients(const Shape& shape, const Values& x, std::uint64_t seed) {
  Generator generator = seeded(seed, 2);
  std::normal_distribution<double> distribution(0.25, 1);
  Values values(shape.elements());
  const float first = x.empty() ? 0 : x.front();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(distribution(generator)) + 0.5f * std::tanh(x[i] - first);
  }
  return values;
}

Values per_channel(std::int64_t channels, float low, float high, std::uint64_t seed) {
  Generator generator = seeded(seed, 3);
  Values values(channels);
  for (float& value : values) value = low + (high - low) * unit(generator);
  return values;
}

Parameters random_parameters(std::int64_t channels, std::uint64_t seed) {
  return {per_channel(channels, -2, 2, seed), per_channel(channels, -1, 1, seed + 1)};
}

}  // namespace xbn::test
