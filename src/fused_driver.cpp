#include "fused_driver.hpp"

#include "fused_call.hpp"

namespace xbn::internal {

template <class Real>
FusedDriver<Real>::FusedDriver(const Problem& problem, const FusedMachine& machine)
    : problem_(problem),
      machine_(machine),
      tiling_(make_fused_tiling(problem)),
      walk_(problem_, tiling_, machine_.caches) {}

template <class Real>
std::size_t FusedDriver<Real>::scratch_bytes() const {
  constexpr std::uintptr_t kWorstAddress = 1;
  Arena arena(reinterpret_cast<void*>(kWorstAddress));
  const Scratch scratch(problem_, tiling_, arena);
  return arena.address() - kWorstAddress;
}

template FusedDriver<float>::FusedDriver(const Problem&, const FusedMachine&);
template FusedDriver<double>::FusedDriver(const Problem&, const FusedMachine&);
template std::size_t FusedDriver<float>::scratch_bytes() const;
template std::size_t FusedDriver<double>::scratch_bytes() const;

}  // namespace xbn::internal
