#include "tensors.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>

namespace bench {
namespace {

constexpr std::align_val_t page{4096};
constexpr std::int64_t cache_line = 64;
constexpr std::int64_t colour_stride = 21 * cache_line;

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

std::byte* allocate(std::int64_t bytes) {
  return static_cast<std::byte*>(::operator new(static_cast<std::size_t>(bytes), page));
}

void poison(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  if (tensor.data == nullptr) return;
  std::memset(tensor.at(first), 0xFF, static_cast<std::size_t>(count) * xbn::size_of(tensor.type));
}

}  // namespace

void Memory::Free::operator()(std::byte* data) const { ::operator delete(data, page); }

Tensors Memory::tensors_for(const Case& test_case) {
  const Geometry geometry = geometry_of(test_case);
  const Types& types = test_case.types;
  const bool backward = test_case.backward(), add = test_case.flags.add_relu;
  const std::int64_t elements = geometry.elements();
  const auto source_bytes = static_cast<std::int64_t>(xbn::size_of(types.source)) * elements;
  const auto destination_bytes = static_cast<std::int64_t>(xbn::size_of(types.destination)) * elements;
  const std::int64_t needed[big_tensors] = {source_bytes,
                                            backward ? destination_bytes : 0,
                                            std::max(source_bytes, destination_bytes),
                                            add ? destination_bytes : 0,
                                            add && backward ? destination_bytes : 0,
                                            backward && test_case.has_mask() ? elements : 0};
  std::int64_t growth = 0;
  for (int i = 0; i < big_tensors; ++i) growth += std::max<std::int64_t>(0, needed[i] - big_bytes_[i]);
  const auto growth_bytes = static_cast<double>(growth);
  const auto available = static_cast<double>(available_bytes());
  if (available != 0 && growth_bytes > available) {
    throw std::runtime_error("needs " + gigabytes(growth_bytes) + " more memory, of which " + gigabytes(available) +
                             " are left");
  }
  for (int i = 0; i < big_tensors; ++i) {
    if (needed[i] <= big_bytes_[i]) continue;
    big_[i].reset();
    big_[i].reset(allocate(needed[i] + big_tensors * colour_stride));
    big_bytes_[i] = needed[i];
    ++generation_;
  }

  constexpr int channel_arrays = 8;
  const xbn::DataType parameters = types.parameters();
  const auto array_bytes = static_cast<std::int64_t>(xbn::size_of(parameters)) * geometry.padded_channels();
  const std::int64_t stride = (array_bytes + cache_line) / cache_line * cache_line;
  if (stride > channel_array_bytes_) {
    channel_arrays_.reset();
    channel_arrays_.reset(allocate(channel_arrays * stride));
    channel_array_bytes_ = stride;
    ++generation_;
  }

  const auto big = [&](int index) { return needed[index] > 0 ? big_[index].get() + index * colour_stride : nullptr; };
  Tensors tensors;
  tensors.x = {big(0), types.source};
  tensors.dy = {big(1), types.destination};
  tensors.y = {big(2), types.destination};
  if (backward) tensors.dx = {big(2), types.source};
  tensors.residual = {big(3), types.destination};
  tensors.d_residual = {big(4), types.destination};
  tensors.passed = reinterpret_cast<std::uint8_t*>(big(5));
  std::byte* array = channel_arrays_.get();
  for (Tensor* member : {&tensors.gamma, &tensors.beta, &tensors.mean, &tensors.variance, &tensors.out_mean,
                         &tensors.out_variance, &tensors.dgamma, &tensors.dbeta}) {
    *member = {array, parameters};
    array += channel_array_bytes_;
  }
  return tensors;
}

void poison_outputs(const Case& test_case, const Geometry& geometry, const Tensors& tensors) {
  for_each_chunk(chunks_of(geometry), [&](const Chunk& chunk, std::size_t) {
    for_each_piece(geometry, chunk, [&](std::int64_t offset, std::int64_t, std::int64_t rows) {
      poison(test_case.backward() ? tensors.dx : tensors.y, offset, rows * geometry.row);
      poison(tensors.d_residual, offset, rows * geometry.row);
    });
  });
  for (const Tensor& array : {tensors.out_mean, tensors.out_variance, tensors.dgamma, tensors.dbeta}) {
    poison(array, 0, geometry.padded_channels());
  }
}

}  // namespace bench
