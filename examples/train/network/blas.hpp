#pragma once

#include <cstdint>

namespace train {

enum class Transpose { no, yes };

/// c = op(a) * op(b) + beta * c, of dense matrices in rows: op(a) is m x k, op(b) is k x n. OpenBLAS, on the calling
/// thread alone, so that the bits do not depend on the machine's other work.
void multiply(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
              const float* a, const float* b, float* c, float beta = 0.0F);

}  // namespace train
