#include "kernels/make_table.hpp"

namespace xbn::kernels {

const KernelTable avx2_table = make_table<Avx2>();

}  // namespace xbn::kernels
