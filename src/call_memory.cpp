#include "call_memory.hpp"

#include <algorithm>
#include <string>

#include "errors.hpp"

namespace xbn::internal {
namespace {

std::string text(const Strides& strides) {
  return "{batch " + to_text(strides.batch) + ", channel " + to_text(strides.channel) + ", position " +
         to_text(strides.position) + "}";
}

[[noreturn, gnu::cold, gnu::noinline]] void reject_type(const char* name, DataType type, DataType found) {
  const bool known = found >= DataType::f32 && found <= DataType::u8;
  reject(std::string(name) + ".type", "be " + std::string(xbn::name(type)),
         known ? std::string(xbn::name(found)) : to_text(static_cast<std::int64_t>(found)));
}

// A tensor that is not there, as an empty problem's may be, is of no type.
void require_type(const char* name, DataType type, const void* data, DataType found) {
  if (data != nullptr && found != type) reject_type(name, type, found);
}

[[noreturn, gnu::cold, gnu::noinline]] void reject_null(const char* name) { reject(name, "not be null", "null"); }

[[noreturn, gnu::cold, gnu::noinline]] void reject_fixed_stride(const char* name, const char* dimension, Layout layout,
                                                                std::int64_t found) {
  reject(std::string(name) + ".strides." + dimension, "be 0 in layout " + std::string(xbn::name(layout)),
         to_text(found));
}

[[noreturn, gnu::cold, gnu::noinline]] void reject_stride(const char* name, const char* dimension, std::int64_t dense,
                                                          std::int64_t found) {
  reject(std::string(name) + ".strides." + dimension, "be 0 or at least " + to_text(dense) + " (the dense pitch)",
         to_text(found));
}

[[noreturn, gnu::cold, gnu::noinline]] void reject_size(const char* name, const void* data, const Strides& strides) {
  reject(name, "lie within the address space",
         "at address " + std::to_string(reinterpret_cast<std::uintptr_t>(data)) + " with strides " + text(strides));
}

[[noreturn, gnu::cold, gnu::noinline]] void reject_array_size(const char* name, const void* data, std::size_t bytes) {
  reject(name, "lie within the address space",
         "at address " + std::to_string(reinterpret_cast<std::uintptr_t>(data)) + " with " + std::to_string(bytes) +
             " bytes");
}

// The pitch of a dimension around elements that take `dense`. One that has no second place never uses its stride.
std::int64_t used_pitch(std::int64_t extent, std::int64_t given, std::int64_t dense) {
  return extent > 1 && given != 0 ? given : dense;
}

std::int64_t enclosing_dense(std::int64_t extent, std::int64_t pitch) {
  return std::max<std::int64_t>(extent, 1) * pitch;
}

}  // namespace

Strides resolve_strides(Layout layout, const Nesting& nesting, const Strides& strides) {
  const std::int64_t position = used_pitch(nesting.positions, strides.position, nesting.run);
  const std::int64_t plane = enclosing_dense(nesting.positions, position);
  const std::int64_t channel = used_pitch(nesting.planes, strides.channel, plane);
  const std::int64_t image = enclosing_dense(nesting.planes, channel);
  Strides resolved;
  resolved.position = has_position_pitch(layout) ? position : 0;
  resolved.channel = has_channel_pitch(layout) ? channel : 0;
  resolved.batch = used_pitch(nesting.batch, strides.batch, image);
  return resolved;
}

CallMemory::CallMemory(const Problem& problem)
    : problem_(problem),
      nesting_(nesting(problem.layout, problem.batch, problem.channels, problem.spatial)),
      used_lanes_(is_blocked(problem.layout) ? problem.channels - (nesting_.planes - 1) * nesting_.run : nesting_.run),
      dense_elements_(nesting_.batch * nesting_.planes * nesting_.positions * nesting_.run) {}

void CallMemory::read_tensor(const char* name, const Input& tensor, DataType type) {
  require_type(name, type, tensor.data, tensor.type);
  add_tensor(name, Access::read, tensor.data, type, tensor.strides, used_lanes_);
}

void CallMemory::written_tensor(const char* name, const Output& tensor, DataType type) {
  require_type(name, type, tensor.data, tensor.type);
  add_tensor(name, Access::written, tensor.data, type, tensor.strides,
             tensor.owns_padding ? nesting_.run : used_lanes_);
}

std::size_t CallMemory::channel_bytes(std::size_t element) const {
  return static_cast<std::size_t>(problem_.channels) * element;
}

void CallMemory::read_bytes(const char* name, const void* data, std::size_t bytes, Presence presence) {
  add_array(name, Access::read, data, bytes, presence);
}

void CallMemory::written_bytes(const char* name, const void* data, std::size_t bytes, Presence presence) {
  add_array(name, Access::written, data, bytes, presence);
}

void CallMemory::scratch(const Scratch& scratch, std::size_t bytes_needed) {
  if (scratch.data == nullptr) return;
  if (scratch.bytes < bytes_needed) {
    reject("scratch.bytes", "be at least " + std::to_string(bytes_needed), std::to_string(scratch.bytes));
  }
  written_bytes("scratch.data", scratch.data, scratch.bytes);
}

void CallMemory::running_update(const RunningUpdate& update) {
  const double weight = update.batch_weight;
  if (!(weight >= 0 && weight <= 1)) reject("running.update.batch_weight", "be from 0 to 1", to_text(weight));
  const auto estimate = static_cast<std::int64_t>(update.estimate);
  if (estimate != static_cast<std::int64_t>(VarianceEstimate::population) &&
      estimate != static_cast<std::int64_t>(VarianceEstimate::unbiased)) {
    reject("running.update.estimate", "be population or unbiased", to_text(estimate));
  }
}

// Bytes from the tensor's first element to the end of its last run, padding included.
std::int64_t CallMemory::checked_span(const char* name, const void* data, std::int64_t element,
                                      const Strides& strides) const {
  const Layout layout = problem_.layout;
  if (!has_position_pitch(layout) && strides.position != 0) {
    reject_fixed_stride(name, "position", layout, strides.position);
  }
  if (!has_channel_pitch(layout) && strides.channel != 0) {
    reject_fixed_stride(name, "channel", layout, strides.channel);
  }
  std::int64_t dense = nesting_.run;
  std::int64_t span = 0;
  bool fits = !__builtin_mul_overflow(nesting_.run, element, &span);
  const auto enclose = [&](const char* dimension, std::int64_t extent, std::int64_t given) {
    const std::int64_t pitch = used_pitch(extent, given, dense);
    if (pitch < dense) reject_stride(name, dimension, dense, given);
    std::int64_t others = 0;
    fits = fits && !__builtin_mul_overflow(std::max<std::int64_t>(extent, 1) - 1, pitch, &others) &&
           !__builtin_mul_overflow(others, element, &others) && !__builtin_add_overflow(span, others, &span);
    if (!fits) reject_size(name, data, strides);
    dense = enclosing_dense(extent, pitch);
  };
  enclose("position", nesting_.positions, strides.position);
  enclose("channel", nesting_.planes, strides.channel);
  enclose("batch", nesting_.batch, strides.batch);
  return span;
}

void CallMemory::add_tensor(const char* name, Access access, const void* data, DataType type, const Strides& strides,
                            std::int64_t last_run) {
  const auto element = static_cast<std::int64_t>(size_of(type));
  const bool is_dense = (strides.batch | strides.channel | strides.position) == 0;
  const auto span =
      static_cast<std::uintptr_t>(is_dense ? dense_elements_ * element : checked_span(name, data, element, strides));
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  if (span > address_limit || begin > address_limit - span) reject_size(name, data, strides);
  if (dense_elements_ == 0) return;
  if (data == nullptr) reject_null(name);
  const auto untouched = static_cast<std::uintptr_t>((nesting_.run - last_run) * element);
  add(name, access, begin, begin + span - untouched, &strides, element, last_run);
}

void CallMemory::add_array(const char* name, Access access, const void* data, std::size_t bytes, Presence presence) {
  if (data == nullptr) {
    if (presence == Presence::required) reject_null(name);
    return;
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  if (bytes > address_limit || begin > address_limit - bytes) reject_array_size(name, data, bytes);
  add(name, access, begin, begin + bytes, nullptr, 1, 0);
}

void CallMemory::add(const char* name, Access access, std::uintptr_t begin, std::uintptr_t end, const Strides* strides,
                     std::int64_t element, std::int64_t last_run) {
  // Field by field: a copy of the whole would wait for these very stores.
  Region& region = regions_[count_];
  region.name = name;
  region.is_written = access == Access::written;
  region.begin = begin;
  region.end = end;
  region.strides = strides;
  region.element = element;
  region.last_run = last_run;
  for (int i = 0; i < count_; ++i) {
    if (begin < regions_[i].end && regions_[i].begin < end) require_separate(region, regions_[i]);
  }
  ++count_;
}

Footprint CallMemory::footprint(const Region& region) const {
  const auto* data = reinterpret_cast<const void*>(region.begin);
  if (region.strides == nullptr) return array_footprint(data, region.end - region.begin);
  const Strides strides = resolve_strides(problem_.layout, nesting_, *region.strides);
  return tensor_footprint(data, region.element, nesting_, strides, region.last_run);
}

void CallMemory::require_separate(const Region& added, const Region& earlier) const {
  if (!added.is_written && !earlier.is_written) return;
  const Footprint of_added = footprint(added);
  const Footprint of_earlier = footprint(earlier);
  const bool tensors = added.strides != nullptr && earlier.strides != nullptr;
  const bool in_place = tensors && !(added.is_written && earlier.is_written);
  const bool equal = in_place && added.begin == earlier.begin && added.element == earlier.element &&
                     of_added.pitches == of_earlier.pitches;
  if (equal || !overlap(of_added, of_earlier)) return;
  if (added.is_written) reject_overlap(added, earlier);
  reject_overlap(earlier, added);
}

void CallMemory::reject_overlap(const Region& written, const Region& other) const {
  const auto distance = static_cast<std::int64_t>(written.begin - other.begin);
  const std::string place = distance == 0  ? "at " + std::string(other.name)
                            : distance > 0 ? to_text(distance) + " bytes after " + other.name
                                           : to_text(-distance) + " bytes before " + other.name;
  if (written.strides == nullptr || other.strides == nullptr) {
    reject(written.name, "overlap nothing else of the call", place);
  }
  const auto strides_of = [&](const Region& region) {
    return text(resolve_strides(problem_.layout, nesting_, *region.strides));
  };
  reject(written.name, "share no element with " + std::string(other.name) + " unless pointer and strides are equal",
         place + " with strides " + strides_of(written) + ", " + other.name + "'s being " + strides_of(other));
}

}  // namespace xbn::internal
