#include "scratch_pool.hpp"

#include <new>

namespace xbn::internal {

ScratchPool::~ScratchPool() {
  for (std::atomic<void*>& slot : free_) ::operator delete(slot.load(std::memory_order_acquire));
}

void* ScratchPool::take() {
  for (std::atomic<void*>& slot : free_) {
    if (slot.load(std::memory_order_relaxed) == nullptr) continue;
    if (void* block = slot.exchange(nullptr, std::memory_order_acq_rel)) return block;
  }
  return ::operator new(bytes_);
}

void ScratchPool::give_back(void* block) noexcept {
  for (std::atomic<void*>& slot : free_) {
    void* empty = nullptr;
    if (slot.load(std::memory_order_relaxed) == nullptr &&
        slot.compare_exchange_strong(empty, block, std::memory_order_acq_rel)) {
      return;
    }
  }
  ::operator delete(block);
}

}  // namespace xbn::internal
