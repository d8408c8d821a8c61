#pragma once

/// From an instruction set to the kernels compiled for it.

#include "xbn/isa.hpp"

namespace xbn::kernels {
struct KernelTable;
struct FusedTables;
}  // namespace xbn::kernels

namespace xbn::internal {

/// `isa` must be one that this machine supports.
const kernels::KernelTable& kernel_table(Isa isa);
const kernels::FusedTables& fused_tables(Isa isa);

}  // namespace xbn::internal
