#include "kernels/fused_kernels.hpp"

namespace xbn::kernels {

const FusedTables avx2_fused{make_fused_table<Avx2, float>(), make_fused_table<Avx2, double>()};

}  // namespace xbn::kernels
