#pragma once

/// The instruction sets that the library is compiled for: listed, named, and forced.

#include <optional>
#include <string_view>
#include <vector>

namespace xbn {

/// From the oldest to the newest. A newer one implies the older.
enum class Isa {
  sse2,    ///< x86-64's baseline. No fused multiply-add: the one whose results differ in the last bits.
  avx2,    ///< AVX2 with FMA.
  avx512,  ///< AVX-512 F, BW, CD, DQ and VL.
};

/// "sse2", "avx2", "avx512".
std::string_view name(Isa isa);

/// The instruction set of that name. Throws std::invalid_argument, which lists the names, where there is none.
Isa isa_from_name(std::string_view isa_name);

/// Those compiled into this library, oldest first, whether or not this machine has them.
std::vector<Isa> compiled_isas();

/// Those compiled in that this processor and its operating system can run, oldest first.
std::vector<Isa> supported_isas();

/// The one that an object made now would use: the newest supported one, limited by XBN_MAX_ISA if that is set in the
/// environment, unless force_isa has named another. Throws std::invalid_argument where XBN_MAX_ISA is not a name, or
/// names one that this machine does not support.
Isa current_isa();

/// Makes objects constructed from now on use exactly this instruction set, whatever the environment says; nullopt takes
/// that back. Objects that exist keep theirs. Throws std::invalid_argument where this machine does not support it.
/// Thread-safe.
void force_isa(std::optional<Isa> isa);

}  // namespace xbn
