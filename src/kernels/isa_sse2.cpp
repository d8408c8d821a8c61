#include "kernels/make_table.hpp"

namespace xbn::kernels {

const KernelTable sse2_table = make_table<Sse2>();

}  // namespace xbn::kernels
