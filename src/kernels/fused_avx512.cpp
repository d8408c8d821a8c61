#include "kernels/fused_kernels.hpp"

namespace xbn::kernels {

const FusedTables avx512_fused{make_fused_table<Avx512, float>(), make_fused_table<Avx512, double>()};

}  // namespace xbn::kernels
