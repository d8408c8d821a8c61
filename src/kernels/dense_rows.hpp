#pragma once

// Dense rows: those of few channels are taken several at a time; and all as one run, whose vectors begin where lines of
// memory do, wherever that is in a row, so that rows of any number of channels can be streamed.

#include <cstring>

#include "kernels/simd_extras.hpp"

namespace xbn::kernels {
namespace {

// Lanes of as many rows as are taken at a time.
inline constexpr Index kRepeatedLanes = 256;

// The coefficients of rows taken so. That changes no result: each element is computed alone.
template <class Real, int kCount>
class RepeatedCoefficients {
 public:
  // Of `rows` rows of `lanes` lanes. values[i] null: none.
  RepeatedCoefficients(const Real* const* values, Index lanes, Index rows) {
    for (int i = 0; i < kCount; ++i) {
      of_[i] = values[i] != nullptr ? repeated_[i] : nullptr;
      if (values[i] == nullptr) continue;
      copy(values[i], repeated_[i], lanes);
      for (Index done = lanes; done < rows * lanes; done *= 2) {
        const Index left = rows * lanes - done;
        copy(repeated_[i], repeated_[i] + done, done < left ? done : left);
      }
    }
  }
  RepeatedCoefficients(const RepeatedCoefficients&) = delete;
  RepeatedCoefficients& operator=(const RepeatedCoefficients&) = delete;

  const Real* of(int i) const { return of_[i]; }

 private:
  static void copy(const Real* from, Real* to, Index count) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(Real));
  }

  const Real* of_[kCount];
  alignas(64) Real repeated_[kCount][kRepeatedLanes];
};

// The coefficients of a vector that begins at any lane of a row, of no fewer than 16, and may go on in the next.
template <class A, class Real, int kCount>
class DenseCoefficients {
 public:
  using Vector = Pack<A, Real, kLanes>;

  // values[i] null: zeros.
  DenseCoefficients(const Real* const* values, Index lanes) : lanes_(lanes) {
    for (int i = 0; i < kCount; ++i) {
      of_[i] = values[i];
      if (of_[i] == nullptr) continue;
      Vector::load(of_[i] + lanes_ - kLanes).store(seam_[i]);
      Vector::load(of_[i]).store(seam_[i] + kLanes);
    }
  }
  DenseCoefficients(const DenseCoefficients&) = delete;
  DenseCoefficients& operator=(const DenseCoefficients&) = delete;

  // Of a vector at `lane`, which moves on behind it. The first lane of all may be any below 16.
  [[gnu::always_inline]] void next(Index& lane, Vector* coefficient) const {
    const Index seam = lane - (lanes_ - kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kCount; ++i) {
      if (of_[i] == nullptr) {
        coefficient[i] = Vector::all(0);
      } else {
        coefficient[i] = Vector::load(seam > 0 ? seam_[i] + seam : of_[i] + lane);
      }
    }
    lane = seam >= 0 ? seam : lane + kLanes;
  }

 private:
  const Real* of_[kCount];
  Index lanes_;
  alignas(64) Real seam_[kCount][2 * kLanes];  // a row's last lanes and the next one's first
};

// Dense rows are read and written in so many streams side by side.
inline constexpr int kDenseStreams = 4;

// As many of `rows` rows of `lanes` lanes as make one stream, so that all begin at one place of a row and of a line,
// which has `line_lanes` elements, and, lest they contend for the same sets of the caches, each at another of its page.
inline Index rows_of_stream(Index rows, Index lanes, Index line_lanes) {
  constexpr Index kLinesOfPage = 64;
  Index together = line_lanes;
  while (together > 1 && lanes * (together / 2) % line_lanes == 0) together /= 2;
  const Index result = rows / kDenseStreams / together * together;
  return result > together && result * lanes % (kLinesOfPage * line_lanes) == 0 ? result - together : result;
}

}  // namespace
}  // namespace xbn::kernels
