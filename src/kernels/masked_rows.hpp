#pragma once

// Rows of gradients and values whose gradients a mask keeps or drops as they are read: summed where they lie, at hardly
// more than what sums without a mask cost.

#include "kernels/pack_bits.hpp"
#include "kernels/reductions.hpp"
#include "kernels/rows.hpp"

namespace xbn::kernels {
namespace {

// Source 0 is masked; its rows' bits lie mask_stride bytes apart.
template <class Stored>
struct MaskedRows : Rows<2, Stored> {
  const std::uint8_t* mask;
  Index mask_stride;
};

template <class Stored>
inline MaskedRows<Stored> shifted(const MaskedRows<Stored>& rows, Index row, Index lane) {
  const Rows<2, Stored>& sources = rows;
  return {shifted(sources, row, lane), rows.mask + row * rows.mask_stride + lane / 8, rows.mask_stride};
}

template <class Stored>
inline MaskedRows<Stored> every(Index nth, const MaskedRows<Stored>& rows) {
  const Rows<2, Stored>& sources = rows;
  return {every(nth, sources), rows.mask, nth * rows.mask_stride};
}

inline unsigned load_bits(const std::uint8_t* from, Index count) {
  unsigned bits = from[0];
  if (count > 8) bits |= static_cast<unsigned>(from[1]) << 8;
  return bits;
}

// The lanes of which the bit is set; +0 elsewhere.
template <class A, class Real>
inline Pack<A, Real, kLanes> keep(unsigned bits, const Pack<A, Real, kLanes>& value) {
  return keep(MaskFrom<Mask<A, Real, kLanes>>::bits(bits), value);
}

template <class A, class Stored, bool kPartial>
struct MaskedRowReader {
  using Vector = RealLanes<A, Stored>;

  const MaskedRows<Stored>& rows;
  Index row;
  Index lane;
  Index count;

  Vector lanes(int source) const {
    const Vector value = unmasked().lanes(source);
    return source == 0 ? keep(bits(), value) : value;
  }
  template <class Wide>
  WidenedLanes<Wide> widened(int source) const {
    if (source != 0) return {unmasked().template widened<Wide>(source).all()};
    if constexpr (std::is_same_v<typename Wide::Arch, Avx512> && std::is_same_v<Stored, float> && !kPartial) {
      const float* const from = unmasked().at(0);
      const unsigned kept = bits();
      return {{{_mm512_maskz_cvtps_pd(static_cast<__mmask8>(kept), _mm256_loadu_ps(from))},
               {_mm512_maskz_cvtps_pd(static_cast<__mmask8>(kept >> 8), _mm256_loadu_ps(from + kLanes / 2))}}};
    } else {
      return {widen_to<Wide>(lanes(0))};
    }
  }

 private:
  RowReader<A, Stored, 2, kPartial> unmasked() const { return {rows, row, lane, count}; }
  unsigned bits() const { return load_bits(rows.mask + row * rows.mask_stride + lane / 8, kPartial ? count : kLanes); }
};

// A reduction of such rows.
template <class Reduction, class T>
struct Masked : OfStored<Reduction, T> {};

template <class Reduction, class T>
struct RowsFor<Masked<Reduction, T>> {
  using Type = MaskedRows<T>;
  template <class A, bool kPartial>
  using Reader = MaskedRowReader<A, T, kPartial>;
};

}  // namespace
}  // namespace xbn::kernels
