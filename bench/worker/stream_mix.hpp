#pragma once

/// Streams a mix of tensors whose elements differ in width, masks of one bit among them.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

/// Widths are in bits an element: 1, or a multiple of 8.
struct Mix {
  struct Read {
    const std::byte* data;
    int bits;
  };
  struct Write {
    std::byte* data;  ///< begins at a cache line
    int bits;
  };
  std::vector<Read> reads{};
  std::vector<Write> writes{};
};

/// Elements of which every tensor's part is whole cache lines, a mask's too.
inline constexpr std::int64_t mix_group = 512;

/// Elements [first, first + count), where `first` is a multiple of mix_group: from one place or four at a time, with
/// streaming stores or ordinary ones.
void stream_mix(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming);

/// The same with one instruction set.
void stream_mix_sse2(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming);
void stream_mix_avx(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming);
void stream_mix_avx512(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming);

}  // namespace bench
