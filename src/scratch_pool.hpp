#pragma once

// Memory for concurrent calls of one object that bring none of their own. Lock-free; a block is allocated only when
// more calls run at the same time than ever before (and beyond kBlocks at a time, for each call).

#include <array>
#include <atomic>
#include <cstddef>

namespace xbn::internal {

class ScratchPool {
 public:
  explicit ScratchPool(std::size_t bytes) : bytes_(bytes) {}
  ~ScratchPool();
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

  void* take();
  void give_back(void* block) noexcept;

 private:
  static constexpr std::size_t kBlocks = 64;
  std::size_t bytes_;
  std::array<std::atomic<void*>, kBlocks> free_{};
};

// A call's scratch: the caller's where there is some, else a block of the pool for as long as this lives.
class ScratchLease {
 public:
  ScratchLease(ScratchPool& pool, void* callers) : pool_(pool), own_(callers == nullptr), block_(callers) {
    if (own_) block_ = pool.take();
  }
  ~ScratchLease() {
    if (own_) pool_.give_back(block_);
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  void* get() const { return block_; }

 private:
  ScratchPool& pool_;
  bool own_;
  void* block_;
};

}  // namespace xbn::internal
