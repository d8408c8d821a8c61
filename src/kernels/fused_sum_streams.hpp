#pragma once

// What is summed of a tile of any type: the elements as they are computed, to be staged; and, where sums can be taken
// of them as they lie in memory, the rows of them.

#include "kernels/fused_runs.hpp"

namespace xbn::kernels {
namespace {

template <class A, class Source>
struct MomentsStreams {
  using Real = RealOf<Source>;
  using Vector = RealLanes<A, Source>;
  static constexpr int kSources = 1;
  static constexpr int kCoefficients = 0;

  Stream<const Source> x;

  template <class Visit>
  void for_each_tensor(const Visit& visit) {
    visit(x);
  }
  // Whether sums can be taken of the elements as they lie in memory.
  bool direct() const { return true; }
  // Calls with(a reduction of them, rows of 16 consecutive elements from here on).
  template <class Reduction, class With>
  void with_consecutive(const With& with) const {
    with(OfStored<Reduction, Source>{}, Rows<1, Source>{{x.at}, {kLanes}});
  }
  // Likewise with the rows of channels from here on.
  template <class Reduction, class With>
  void with_rows(const With& with) const {
    with(OfStored<Reduction, Source>{}, Rows<1, Source>{{x.at}, {x.row_pitch}});
  }
  // Likewise with one that goes down the images.
  template <class Reduction, class With>
  void with_images(const With& with) const {
    with(OfStored<Reduction, Source>{}, Rows<1, Source>{{x.at}, {x.image_pitch}});
  }
  const Real* coefficient(int) const { return nullptr; }

  template <int kCount, bool kPartial>
  void stage(Index i, const Partial& partial, const Vector*, Vector* out) const {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) out[k] = load_from<A, kPartial>(x.of(k, i), partial);
  }
};

template <class A, class Source, class Gradient>
struct GradientSumsStreams : GradientStreams<A, Source, Gradient> {
  using Base = GradientStreams<A, Source, Gradient>;
  using typename Base::Real;
  using typename Base::Vector;
  static constexpr int kSources = 2;
  static constexpr int kCoefficients = Base::kCoefficients;

  explicit GradientSumsStreams(const FusedGradient<Real>& tile) : Base(tile) {}

  bool direct() const { return std::is_same_v<Source, Gradient> && !this->differentiates && !this->from_output; }
  template <class Reduction, class With>
  void with_consecutive(const With& with) const {
    with_sources<Reduction>(kLanes, kLanes, kLanes / 8, with);
  }
  template <class Reduction, class With>
  void with_rows(const With& with) const {
    with_sources<Reduction>(this->dy.row_pitch, this->x.row_pitch, this->mask.row_pitch, with);
  }
  template <class Reduction, class With>
  void with_images(const With& with) const {
    with_sources<Reduction>(this->dy.image_pitch, this->x.image_pitch, this->mask.image_pitch, with);
  }
  const Real* coefficient(int i) const { return this->coefficients[i]; }

  template <int kCount, bool kPartial>
  void stage(Index i, const Partial& partial, const Vector* coefficient, Vector* out) const {
    this->template load<kCount, kPartial>(i, partial, coefficient, out, out + kCount);
  }

 private:
  // Where there is no x, its sums are not wanted, and dy stands in for it.
  template <class Reduction, class With>
  void with_sources(Index dy_pitch, Index x_pitch, Index mask_pitch, const With& with) const {
    if constexpr (std::is_same_v<Source, Gradient>) {
      const bool has_x = this->x.present();
      const Rows<2, Source> rows{{this->dy.at, has_x ? this->x.at : this->dy.at},
                                 {dy_pitch, has_x ? x_pitch : dy_pitch}};
      if (this->mask.present()) {
        with(Masked<Reduction, Source>{}, MaskedRows<Source>{rows, this->mask.at, mask_pitch});
      } else {
        with(OfStored<Reduction, Source>{}, rows);
      }
    }
  }
};

}  // namespace
}  // namespace xbn::kernels
