#pragma once

/// What storing a result in a type costs.

#include <algorithm>
#include <cmath>

#include <xbn/types.hpp>

namespace bench {

/// Distances of a type's neighbours.
struct Rounding {
  double ulp;     ///< relative: 2^-23 for f32; 0 for integers
  double least;   ///< absolute: of the subnormal numbers; 1 for integers
  double lowest;  ///< integers saturate
  double highest;
  bool of_computing;  ///< elements are computed in this type: the contract's bounds have its rounding

  /// The most by which a stored value differs from the computed one.
  template <class Wide>
  Wide half(Wide value) const {
    return of_computing ? Wide{0} : (std::abs(value) * ulp + least) / 2 * (1 + 0x1p-10);
  }

  template <class Wide>
  Wide saturated(Wide value) const {
    return std::clamp(value, static_cast<Wide>(lowest), static_cast<Wide>(highest));
  }
};

inline Rounding rounding_of(xbn::DataType type) {
  switch (type) {
    case xbn::DataType::f32:
      return {0x1p-23, 0x1p-149, -INFINITY, INFINITY, true};
    case xbn::DataType::f64:
      return {0x1p-52, 0x1p-1074, -INFINITY, INFINITY, true};
    case xbn::DataType::bf16:
      return {0x1p-7, 0x1p-133, -INFINITY, INFINITY, false};
    case xbn::DataType::f16:
      return {0x1p-10, 0x1p-24, -INFINITY, INFINITY, false};
    case xbn::DataType::s8:
      return {0, 1, -128, 127, false};
    case xbn::DataType::u8:
      break;
  }
  return {0, 1, 0, 255, false};
}

}  // namespace bench
