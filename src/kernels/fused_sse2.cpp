#include "kernels/fused_kernels.hpp"

namespace xbn::kernels {

const FusedTables sse2_fused{make_fused_table<Sse2, float>(), make_fused_table<Sse2, double>()};

}  // namespace xbn::kernels
