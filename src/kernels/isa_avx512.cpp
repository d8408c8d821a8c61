#include "kernels/make_table.hpp"

namespace xbn::kernels {

const KernelTable avx512_table = make_table<Avx512>();
const KernelTable avx512_halved_table = with_halved_sums<Avx512>();

}  // namespace xbn::kernels
