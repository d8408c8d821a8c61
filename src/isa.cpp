#include "isa.hpp"

#include <array>
#include <atomic>
#include <cpuid.h>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "errors.hpp"
#include "kernels/fused_table.hpp"

namespace xbn {
namespace {

using internal::reject;

// What the processor has, and which register state its operating system saves. Not __builtin_cpu_supports: clang 14's
// does not know all of the features below.
struct Processor {
  std::uint32_t leaf1_ecx = 0;
  std::uint32_t leaf7_ebx = 0;
  std::uint32_t saved_state = 0;
  std::uint32_t family = 0;
  bool is_amd = false;

  Processor() {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0) is_amd = ebx == signature_AMD_ebx && ecx == signature_AMD_ecx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) {
      leaf1_ecx = ecx;
      family = (eax >> 8 & 0xf) + (eax >> 20 & 0xff);
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) leaf7_ebx = ebx;
    if ((leaf1_ecx & bit_OSXSAVE) != 0) asm("xgetbv" : "=a"(saved_state), "=d"(edx) : "c"(0));
  }

  bool has(std::uint32_t of_leaf1_ecx, std::uint32_t of_leaf7_ebx, std::uint32_t state) const {
    return (leaf1_ecx & of_leaf1_ecx) == of_leaf1_ecx && (leaf7_ebx & of_leaf7_ebx) == of_leaf7_ebx &&
           (saved_state & state) == state;
  }
};

const Processor& processor() {
  static const Processor detected;
  return detected;
}

// Each lists what g++ and clang++ may use under the flags that CMakeLists.txt gives to that instruction set's kernels,
// which is more than the flags name: AVX2 brings SSE4.2 and POPCNT.
bool is_sse2_supported() { return true; }

bool is_avx2_supported() {
  constexpr std::uint32_t sse_and_avx_registers = 0x06;
  return processor().has(
      bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C,
      bit_AVX2, sse_and_avx_registers);
}

bool is_avx512_supported() {
  constexpr std::uint32_t mask_and_zmm_registers = 0xe0;
  return is_avx2_supported() &&
         processor().has(0, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL,
                         mask_and_zmm_registers);
}

// AMD's Zen 4, the only one of its family that has AVX-512.
bool works_in_halves() {
  constexpr std::uint32_t zen_3_and_4 = 0x19;
  return processor().is_amd && processor().family == zen_3_and_4;
}

struct Row {
  Isa isa;
  std::string_view name;
  bool (*is_supported)();
  const kernels::KernelTable* table;
  const kernels::FusedTables* fused;
};

// Oldest first.
constexpr std::array rows = {
    Row{Isa::sse2, "sse2", is_sse2_supported, &kernels::sse2_table, &kernels::sse2_fused},
    Row{Isa::avx2, "avx2", is_avx2_supported, &kernels::avx2_table, &kernels::avx2_fused},
    Row{Isa::avx512, "avx512", is_avx512_supported, &kernels::avx512_table, &kernels::avx512_fused},
};

const Row* find(std::string_view isa_name) {
  for (const Row& row : rows) {
    if (row.name == isa_name) return &row;
  }
  return nullptr;
}

std::string listed_names(bool only_supported) {
  std::string names;
  for (const Row& row : rows) {
    if (only_supported && !row.is_supported()) continue;
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

const Row& row_of(Isa isa) {
  for (const Row& row : rows) {
    if (row.isa == isa) return row;
  }
  reject("isa", "be one of " + listed_names(false), internal::to_text(static_cast<std::int64_t>(isa)));
}

const Row& row_named(const char* argument, std::string_view isa_name) {
  const Row* row = find(isa_name);
  if (row == nullptr) reject(argument, "be one of " + listed_names(false), '"' + std::string(isa_name) + '"');
  return *row;
}

void require_supported(const char* argument, const Row& row) {
  if (row.is_supported()) return;
  reject(argument, "be one that this machine supports, of " + listed_names(true), row.name);
}

std::atomic<const Row*> forced_row{nullptr};

}  // namespace

std::string_view name(Isa isa) { return row_of(isa).name; }

Isa isa_from_name(std::string_view isa_name) { return row_named("isa_name", isa_name).isa; }

std::vector<Isa> compiled_isas() {
  std::vector<Isa> isas;
  for (const Row& row : rows) isas.push_back(row.isa);
  return isas;
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (const Row& row : rows) {
    if (row.is_supported()) isas.push_back(row.isa);
  }
  return isas;
}

Isa current_isa() {
  if (const Row* forced = forced_row.load()) return forced->isa;
  if (const char* limit = std::getenv("XBN_MAX_ISA")) {
    const Row& row = row_named("XBN_MAX_ISA", limit);
    require_supported("XBN_MAX_ISA", row);
    return row.isa;
  }
  return supported_isas().back();
}

void force_isa(std::optional<Isa> isa) {
  const Row* row = isa ? &row_of(*isa) : nullptr;
  if (row != nullptr) require_supported("isa", *row);
  forced_row.store(row);
}

namespace internal {

const kernels::KernelTable& kernel_table(Isa isa) {
  if (isa == Isa::avx512 && works_in_halves()) return kernels::avx512_halved_table;
  return *row_of(isa).table;
}

const kernels::FusedTables& fused_tables(Isa isa) { return *row_of(isa).fused; }

}  // namespace internal
}  // namespace xbn
