#pragma once

/// All the memory that one call touches: collected argument by argument, each checked against those before it.

#include <array>
#include <cstddef>
#include <cstdint>

#include "nesting.hpp"
#include "overlap.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::internal {

enum class Presence { required, optional };

/// Each function throws std::invalid_argument where the argument is null but required, does not fit in the address
/// space, has strides that do not suit the problem, or overlaps an earlier one where either is written. A tensor that
/// is written may be one that is read, with the same strides. Tensors of an empty problem may be null.
class CallMemory {
 public:
  explicit CallMemory(const Problem& problem);

  /// `type` is what the tensor's must be.
  void read_tensor(const char* name, const Input& tensor, DataType type = DataType::f32);
  void written_tensor(const char* name, const Output& tensor, DataType type = DataType::f32);

  /// Arrays of `channels` elements.
  template <class T>
  void read(const char* name, const T* array, Presence presence = Presence::required) {
    read_bytes(name, array, channel_bytes(sizeof(T)), presence);
  }
  template <class T>
  void written(const char* name, const T* array, Presence presence = Presence::required) {
    written_bytes(name, array, channel_bytes(sizeof(T)), presence);
  }

  /// Arrays of another length.
  void read_bytes(const char* name, const void* data, std::size_t bytes, Presence presence = Presence::required);
  void written_bytes(const char* name, const void* data, std::size_t bytes, Presence presence = Presence::required);

  void scratch(const Scratch& scratch, std::size_t bytes_needed);
  template <class Real>
  void running(const BasicRunningStatistics<Real>& running) {
    running_update(running.update);
    if (running.mean == nullptr && running.variance == nullptr) return;
    written("running.mean", running.mean);
    written("running.variance", running.variance);
  }

 private:
  enum class Access { read, written };

  // What is checked against every other argument. A footprint is made only where ranges of addresses overlap.
  struct Region {
    const char* name;
    bool is_written;
    std::uintptr_t begin;
    std::uintptr_t end;
    const Strides* strides;  // null for arrays
    std::int64_t element;    // bytes
    std::int64_t last_run;
  };

  void running_update(const RunningUpdate& update);
  void add_tensor(const char* name, Access access, const void* data, DataType type, const Strides& strides,
                  std::int64_t last_run);
  void add_array(const char* name, Access access, const void* data, std::size_t bytes, Presence presence);
  std::size_t channel_bytes(std::size_t element) const;
  void add(const char* name, Access access, std::uintptr_t begin, std::uintptr_t end, const Strides* strides,
           std::int64_t element, std::int64_t last_run);
  void require_separate(const Region& added, const Region& earlier) const;
  [[noreturn]] void reject_overlap(const Region& written, const Region& other) const;
  Footprint footprint(const Region& region) const;
  std::int64_t checked_span(const char* name, const void* data, std::int64_t element, const Strides& strides) const;

  // The most that any call has is backward's.
  static constexpr int capacity = 18;

  const Problem& problem_;
  Nesting nesting_;
  std::int64_t used_lanes_;      // of the last run of a tensor whose padding is not touched
  std::int64_t dense_elements_;  // of a whole tensor
  std::array<Region, capacity> regions_;
  int count_ = 0;
};

/// The strides of a valid tensor with every distance spelled out: a zero, and the stride of a dimension that has at
/// most one element, becomes the dense distance. Strides that the layout fixes remain zero.
Strides resolve_strides(Layout layout, const Nesting& nesting, const Strides& strides);

}  // namespace xbn::internal
