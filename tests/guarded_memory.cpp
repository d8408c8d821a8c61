#include "guarded_memory.hpp"

#include <cstdint>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace xbn::test {
namespace {

std::uint32_t canary(std::ptrdiff_t i) { return 0x7fc00000u | (static_cast<std::uint32_t>(i) & 0x3fffffu); }

}  // namespace

GuardedMemory::GuardedMemory(std::size_t floats) : size_(floats) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t usable = (floats * sizeof(float) + page - 1) / page * page + page;
  mapped_bytes_ = usable + page;
  mapping_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  auto* end = static_cast<char*>(mapping_) + usable;
  if (mprotect(end, page, PROT_NONE) != 0) throw std::bad_alloc();
  data_ = reinterpret_cast<float*>(end) - floats;
  auto* first = static_cast<float*>(mapping_);
  for (float* p = first; p != data_ + size_; ++p) {
    const std::uint32_t bits = canary(p - data_);
    std::memcpy(p, &bits, sizeof bits);
  }
}

GuardedMemory::~GuardedMemory() { munmap(mapping_, mapped_bytes_); }

bool GuardedMemory::is_canary(std::ptrdiff_t i) const {
  const std::uint32_t bits = canary(i);
  return std::memcmp(data_ + i, &bits, sizeof bits) == 0;
}

bool GuardedMemory::front_is_intact() const {
  for (std::ptrdiff_t i = static_cast<float*>(mapping_) - data_; i < 0; ++i) {
    if (!is_canary(i)) return false;
  }
  return true;
}

}  // namespace xbn::test
