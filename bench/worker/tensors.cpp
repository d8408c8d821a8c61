#include "tensors.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

namespace bench {
namespace {

constexpr std::align_val_t page{4096};
constexpr std::int64_t floats_per_line = 16;
constexpr std::int64_t colour_stride = 21 * floats_per_line;

/// 0 where the system does not say.
std::int64_t available_bytes() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    if (line.starts_with("MemAvailable:")) return std::stoll(line.substr(line.find(':') + 1)) * 1024;
  }
  return 0;
}

std::string gigabytes(double bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f GB", bytes * 1e-9);
  return text.data();
}

float* allocate(std::int64_t elements) {
  return static_cast<float*>(::operator new(static_cast<std::size_t>(elements) * sizeof(float), page));
}

}  // namespace

void Memory::Free::operator()(float* data) const { ::operator delete(data, page); }

float* Memory::big_tensor(int index) const { return big_[index].get() + index * colour_stride; }

Tensors Memory::tensors_for(const Case& test_case) {
  const Geometry geometry = geometry_of(test_case);
  const std::int64_t needed[big_tensors] = {geometry.elements(), test_case.backward() ? geometry.elements() : 0,
                                            geometry.elements()};
  std::int64_t growth = 0;
  for (int i = 0; i < big_tensors; ++i) growth += std::max<std::int64_t>(0, needed[i] - big_elements_[i]);
  const double growth_bytes = static_cast<double>(growth) * sizeof(float);
  const auto available = static_cast<double>(available_bytes());
  if (available != 0 && growth_bytes > available) {
    throw std::runtime_error("needs " + gigabytes(growth_bytes) + " more memory, of which " + gigabytes(available) +
                             " are left");
  }
  for (int i = 0; i < big_tensors; ++i) {
    if (needed[i] <= big_elements_[i]) continue;
    big_[i].reset();
    big_[i].reset(allocate(needed[i] + big_tensors * colour_stride));
    big_elements_[i] = needed[i];
    ++generation_;
  }

  constexpr int channel_arrays = 8;
  const std::int64_t stride = (geometry.padded_channels() + floats_per_line) / floats_per_line * floats_per_line;
  if (stride > channels_) {
    channel_arrays_.reset();
    channel_arrays_.reset(allocate(channel_arrays * stride));
    channels_ = stride;
    ++generation_;
  }
  Tensors tensors;
  tensors.x = big_tensor(0);
  tensors.dy = test_case.backward() ? big_tensor(1) : nullptr;
  tensors.out = big_tensor(2);
  float* array = channel_arrays_.get();
  for (float** member : {&tensors.gamma, &tensors.beta, &tensors.mean, &tensors.variance, &tensors.out_mean,
                         &tensors.out_variance, &tensors.dgamma, &tensors.dbeta}) {
    *member = array;
    array += channels_;
  }
  return tensors;
}

void poison_outputs(const Geometry& geometry, const Tensors& tensors) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for_each_chunk(chunks_of(geometry), [&](const Chunk& chunk, std::size_t) {
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t, std::int64_t rows) {
      std::fill_n(tensors.out + offset, rows * geometry.row, nan);
    });
  });
  for (float* array : {tensors.out_mean, tensors.out_variance, tensors.dgamma, tensors.dbeta}) {
    std::fill_n(array, geometry.padded_channels(), nan);
  }
}

}  // namespace bench
