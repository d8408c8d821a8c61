#include "network/blas.hpp"

#include <cblas.h>

namespace train {
namespace {

void use_one_thread() {
  [[maybe_unused]] static const bool once = [] {
    openblas_set_num_threads(1);
    return true;
  }();
}

CBLAS_TRANSPOSE operation(Transpose transpose) { return transpose == Transpose::yes ? CblasTrans : CblasNoTrans; }

}  // namespace

void multiply(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
              const float* a, const float* b, float* c, float beta) {
  use_one_thread();
  cblas_sgemm(CblasRowMajor, operation(transpose_a), operation(transpose_b), static_cast<int>(m), static_cast<int>(n),
              static_cast<int>(k), 1.0F, a, static_cast<int>(transpose_a == Transpose::yes ? m : k), b,
              static_cast<int>(transpose_b == Transpose::yes ? k : n), beta, c, static_cast<int>(n));
}

}  // namespace train
