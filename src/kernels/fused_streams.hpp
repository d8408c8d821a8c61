#pragma once

// What the fused kernels compute of 16 elements, and of several times 16 side by side: forward and backward, from and
// to any type. Types are template parameters; which activation, whether there is a residual or a mask, is asked once
// for several vectors, which costs nothing beside them.

#include "kernels/activation.hpp"
#include "kernels/fused_table.hpp"
#include "kernels/masked_rows.hpp"

namespace xbn::kernels {
namespace {

// A tensor, and a place in it.
template <class T>
struct Stream {
  T* base;
  T* at;
  Index image_pitch;
  Index block_pitch;
  Index row_pitch;
  Index ahead = 0;  // from what is read to what is fetched for the next pass; 0: nothing is
  Index step = 0;   // from one of several vectors to the next

  bool present() const { return base != nullptr; }
  void move(Index image, Index block, Index row) {
    if (present()) at = base + image * image_pitch + block * block_pitch + row * row_pitch;
  }
  void advance(Index elements) {
    if (present()) at += elements;
  }
  // In one of several vectors.
  T* of(int vector, Index i) const { return at + vector * step + i; }
  // Fetch what lies ahead of as many vectors side by side, and of so many in each of kCount places.
  template <int kVectors>
  void look_ahead(Index i) const;
  template <int kCount, int kVectors>
  void look_ahead_in_places(Index i) const;
  bool follows_rows(Index width) const { return !present() || row_pitch == width; }
};

template <class T>
inline Stream<const T> stream_of(const FusedSource& source) {
  const T* const data = static_cast<const T*>(source.data);
  return {data, data, source.image_pitch, source.block_pitch, source.row_pitch, source.ahead};
}

template <class T>
inline Stream<T> stream_of(const FusedDestination& destination) {
  T* const data = static_cast<T*>(destination.data);
  return {data, data, destination.image_pitch, destination.block_pitch, destination.row_pitch};
}

template <class Byte>
inline Stream<Byte> stream_of(const FusedMask<Byte>& mask) {
  return {mask.data, mask.data, mask.image_pitch, mask.block_pitch, mask.row_pitch};
}

// How a vector is stored: all 16 lanes, or the first `count`, followed by zeros up to `written`.
struct Partial {
  Index count;
  Index written;
};

template <class A, bool kPartial, class T>
inline RealLanes<A, std::remove_const_t<T>> load_from(const T* from, const Partial& partial) {
  if constexpr (kPartial) {
    return load_first_lanes<A>(from, partial.count);
  } else {
    return load_lanes<A>(from);
  }
}

template <class A, bool kPartial, Store kStore, class T>
inline void store_to(const RealLanes<A, T>& value, T* to, const Partial& partial) {
  using Vector = RealLanes<A, T>;
  if constexpr (kPartial) {
    store_first_lanes<A>(Vector::select_first(partial.count, value, Vector::all(0)), to, partial.written);
  } else if constexpr (kStore == Store::streaming) {
    stream_lanes<A>(value, to);
  } else {
    store_lanes<A>(value, to);
  }
}

// Vectors of T that fill a line of memory.
template <class T>
inline constexpr int kVectorsOfLine = sizeof(T) < 4 ? 4 / static_cast<int>(sizeof(T)) : 1;

template <class T>
template <int kVectors>
[[gnu::always_inline]] inline void Stream<T>::look_ahead(Index i) const {
  if (ahead == 0) return;
#pragma GCC unroll 4
  for (int vector = 0; vector < kVectors; vector += kVectorsOfLine<std::remove_const_t<T>>) {
    prefetch_second(at + i + vector * kLanes + ahead);
  }
}

template <class T>
template <int kCount, int kVectors>
[[gnu::always_inline]] inline void Stream<T>::look_ahead_in_places(Index i) const {
#pragma GCC unroll 4
  for (int k = 0; k < kCount; ++k) look_ahead<kVectors>(k * step + i);
}

// Vectors side by side as they will be in memory, in kCount places: each line is streamed at once. By parts, with those
// of other lines between them, streaming takes up to four times as long.
template <class A, class T, int kCount, int kVectors>
struct Lines {
  using Image = std::conditional_t<kIsReal<T>, RealLanes<A, T>, ImageOf<A, T>>;

  Image image[kCount][kVectors];

  void set(int vector, const RealLanes<A, T>* value) {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      if constexpr (kIsReal<T>) {
        image[k][vector] = value[k];
      } else {
        image[k][vector] = encode<T, A>(value[k]);
      }
    }
  }
  void stream(const Stream<T>& to, Index i) const {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
#pragma GCC unroll 4
      for (int vector = 0; vector < kVectors; ++vector) image[k][vector].stream(to.of(k, i + vector * kLanes));
    }
  }
};

inline void store_bits(unsigned bits, std::uint8_t* to, const Partial& partial) {
  if (partial.count == kLanes) {
    const auto all = static_cast<std::uint16_t>(bits);
    __builtin_memcpy(to, &all, sizeof all);
    return;
  }
  bits &= (1U << partial.count) - 1U;
  to[0] = static_cast<std::uint8_t>(bits);
  if (partial.written > 8) to[1] = static_cast<std::uint8_t>(bits >> 8);
}

// kLight: only with activations of a few instructions, so that a step fits into the loop of another pass.
template <class A, class Source, class Destination, bool kLight = false>
struct Forward {
  using Real = RealOf<Source>;
  using Vector = RealLanes<A, Source>;
  using MaskByte = std::uint8_t;
  enum Coefficient { kMean, kScale, kShift, kCoefficients };

  Stream<const Source> x;
  Stream<const Destination> residual;
  Stream<Destination> y;
  Stream<MaskByte> mask;
  Activation activation;
  bool owns_padding;
  const Real* coefficients[kCoefficients];

  explicit Forward(const FusedForward<Real>& tile)
      : x(stream_of<Source>(tile.x)),
        residual(stream_of<Destination>(tile.residual)),
        y(stream_of<Destination>(tile.y)),
        mask(stream_of(tile.mask)),
        activation(tile.activation),
        owns_padding(tile.y.owns_padding),
        coefficients{tile.mean, tile.scale, tile.shift} {}

  template <class Visit>
  void for_each_tensor(const Visit& visit) {
    visit(x);
    visit(residual);
    visit(y);
  }
  template <class Visit>
  void for_each_destination(const Visit& visit) {
    visit(y, owns_padding);
  }
  bool can_stream() const { return reinterpret_cast<std::uintptr_t>(y.at) % (kLanes * sizeof(Destination)) == 0; }
  // Elements until it can.
  Index misaligned() const {
    constexpr Index kVector = kLanes * sizeof(Destination);
    return static_cast<Index>((0U - reinterpret_cast<std::uintptr_t>(y.at)) % kVector / sizeof(Destination));
  }

  template <int kCount, bool kPartial>
  [[gnu::always_inline]] void compute(Index i, const Partial& partial, const Vector* coefficient, Vector* z) const {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      const Vector value = load_from<A, kPartial>(x.of(k, i), partial);
      z[k] = fma(value - coefficient[kMean], coefficient[kScale], coefficient[kShift]);
    }
    if (residual.present()) {
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        z[k] = z[k] + load_from<A, kPartial>(residual.of(k, i), partial);
      }
    }
    if (mask.present()) {
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        store_bits(passes(z[k]), mask.of(k, i / 8), kPartial ? partial : Partial{kLanes, kLanes});
      }
    }
    activate<A, Real, kCount, kLight>(activation, z);
  }

  template <int kCount, bool kPartial, Store kStore>
  [[gnu::always_inline]] void step(Index i, const Partial& partial, const Vector* coefficient) const {
    if constexpr (kStore == Store::streaming && !kPartial && !kLight) x.template look_ahead<kCount>(i);
    Vector z[kCount];
    compute<kCount, kPartial>(i, partial, coefficient, z);
    const Partial of{partial.count, owns_padding ? partial.written : partial.count};
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) store_to<A, kPartial, kStore>(z[k], y.of(k, i), of);
  }

  static constexpr int kLine = kVectorsOfLine<Destination>;

  // Streams a line in each place. coefficient_of(v): those of its vector v.
  template <int kCount, class CoefficientOf>
  [[gnu::always_inline]] void step_line(Index i, const CoefficientOf& coefficient_of) const {
    if constexpr (!kLight) x.template look_ahead_in_places<kCount, kLine>(i);
    Lines<A, Destination, kCount, kLine> lines;
#pragma GCC unroll 1
    for (int vector = 0; vector < kLine; ++vector) {
      Vector z[kCount];
      compute<kCount, false>(i + vector * kLanes, {kLanes, kLanes}, coefficient_of(vector), z);
      lines.set(vector, z);
    }
    lines.stream(y, i);
  }
};

// Digits of a type's numbers.
template <class T>
inline constexpr int kDigits = 24;
template <>
inline constexpr int kDigits<double> = 53;
template <>
inline constexpr int kDigits<bfloat16> = 8;
template <>
inline constexpr int kDigits<float16> = 11;

// The least normal one.
template <class T>
inline constexpr RealOf<T> kLeastNormal = __FLT_MIN__;
template <>
inline constexpr double kLeastNormal<double> = __DBL_MIN__;
template <>
inline constexpr float kLeastNormal<float16> = 0x1p-14F;

constexpr double power_of_two(int exponent) {
  double result = 1;
  for (int i = 0; i < (exponent < 0 ? -exponent : exponent); ++i) result *= exponent < 0 ? 0.5 : 2;
  return result;
}

// Outputs at the ends of a saturating activation's range, whose z would be infinite, are taken for the numbers just
// within it.
template <class A, class T, int kCount>
inline void move_within_range(ActivationKind kind, RealLanes<A, T>* y) {
  using Vector = RealLanes<A, T>;
  using Real = RealOf<T>;
  if (kind != ActivationKind::sigmoid && kind != ActivationKind::tanh) return;
  const Vector most = Vector::all(static_cast<Real>(1 - power_of_two(-kDigits<T> - (kDigits<T> < 24 ? 1 : 0))));
  const Vector least = kind == ActivationKind::tanh ? Vector::all(0) - most : Vector::all(kLeastNormal<T>);
  for (int k = 0; k < kCount; ++k) y[k] = greater(least, lesser(most, y[k]));
}

// The gradient of z and x's place in the sums, of FusedGradient. kLight: only without activation or with a mask.
template <class A, class Source, class Gradient, bool kLight = false>
struct GradientStreams {
  using Real = RealOf<Source>;
  using Vector = RealLanes<A, Source>;
  using MaskByte = const std::uint8_t;
  enum Coefficient { kCenter, kScale, kShift, kCoefficients };

  Stream<const Source> x;
  Stream<const Gradient> dy;
  Stream<const Gradient> residual;
  Stream<MaskByte> mask;
  Activation activation;
  bool from_output;
  bool differentiates;
  const Real* coefficients[kCoefficients];

  explicit GradientStreams(const FusedGradient<Real>& tile)
      : x(stream_of<Source>(tile.x)),
        dy(stream_of<Gradient>(tile.dy)),
        residual(stream_of<Gradient>(tile.residual)),
        mask(stream_of(tile.mask)),
        activation(tile.activation),
        from_output(tile.from_output),
        differentiates(tile.activation.kind != ActivationKind::none && tile.mask.data == nullptr),
        coefficients{tile.center, tile.scale, tile.shift} {}

  template <class Visit>
  void for_each_tensor(const Visit& visit) {
    visit(x);
    visit(dy);
    visit(residual);
  }

  template <int kCount, bool kPartial>
  [[gnu::always_inline]] void load(Index i, const Partial& partial, const Vector* coefficient, Vector* gradient,
                                   Vector* value) const {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) gradient[k] = load_from<A, kPartial>(dy.of(k, i), partial);
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      value[k] = x.present() ? load_from<A, kPartial>(x.of(k, i), partial) : coefficient[kCenter];
    }
    if (mask.present()) {
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        gradient[k] = keep(load_bits(mask.of(k, i / 8), kPartial ? partial.count : kLanes), gradient[k]);
      }
    }
    if constexpr (kLight) return;
    if (from_output) {
      move_within_range<A, Source, kCount>(activation.kind, value);
      times_derivative_of_output<A, Real, kCount>(activation, value, gradient);
      invert<A, Real, kCount>(activation, value);
    } else if (differentiates) {
      Vector z[kCount];
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        z[k] = fma(value[k] - coefficient[kCenter], coefficient[kScale], coefficient[kShift]);
      }
      if (residual.present()) {
#pragma GCC unroll 4
        for (int k = 0; k < kCount; ++k) {
          z[k] = z[k] + load_from<A, kPartial>(residual.of(k, i), partial);
        }
      }
      times_derivative<A, Real, kCount>(activation, z, gradient);
    }
  }
};

template <class A, class Source, class Gradient, bool kLight = false>
struct Backward : GradientStreams<A, Source, Gradient, kLight> {
  using Base = GradientStreams<A, Source, Gradient, kLight>;
  using typename Base::Real;
  using typename Base::Vector;
  enum Coefficient { kCenter, kScale, kShift, kA, kB, kC, kCoefficients };

  Stream<Source> dx;
  Stream<Gradient> d_residual;
  bool owns_padding[2];
  Vector weight;
  const Real* coefficients[kCoefficients];

  Backward(const FusedGradient<Real>& tile, const FusedGradientApply<Real>& out)
      : Base(tile),
        dx(stream_of<Source>(out.dx)),
        d_residual(stream_of<Gradient>(out.d_residual)),
        owns_padding{out.dx.owns_padding, out.d_residual.owns_padding},
        weight(Vector::all(out.weight)),
        coefficients{tile.center, tile.scale, tile.shift, out.a, out.b, out.c} {}

  template <class Visit>
  void for_each_tensor(const Visit& visit) {
    Base::for_each_tensor(visit);
    visit(dx);
    visit(d_residual);
  }
  template <class Visit>
  void for_each_destination(const Visit& visit) {
    visit(dx, owns_padding[0]);
    visit(d_residual, owns_padding[1]);
  }
  bool can_stream() const {
    return reinterpret_cast<std::uintptr_t>(dx.at) % (kLanes * sizeof(Source)) == 0 &&
           reinterpret_cast<std::uintptr_t>(d_residual.at) % (kLanes * sizeof(Gradient)) == 0;
  }
  Index misaligned() const {
    constexpr Index kVector = kLanes * sizeof(Source);
    return static_cast<Index>((0U - reinterpret_cast<std::uintptr_t>(dx.at)) % kVector / sizeof(Source));
  }

  // The gradients of x and of what was added.
  template <int kCount, bool kPartial>
  [[gnu::always_inline]] void compute(Index i, const Partial& partial, const Vector* coefficient, Vector* value,
                                      Vector* gradient) const {
    this->template load<kCount, kPartial>(i, partial, coefficient, gradient, value);
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      const Vector through_statistics = fma(value[k] - coefficient[kCenter], coefficient[kB], coefficient[kC]);
      value[k] = fma(through_statistics, weight, gradient[k]) * coefficient[kA];
    }
  }

  template <int kCount, bool kPartial, Store kStore>
  [[gnu::always_inline]] void step(Index i, const Partial& partial, const Vector* coefficient) const {
    if constexpr (kStore == Store::streaming && !kPartial && !kLight) {
      this->x.template look_ahead<kCount>(i);
      this->dy.template look_ahead<kCount>(i);
    }
    Vector gradient[kCount];
    Vector value[kCount];
    compute<kCount, kPartial>(i, partial, coefficient, value, gradient);
    if (dx.present()) {
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        const Partial of{partial.count, owns_padding[0] ? partial.written : partial.count};
        store_to<A, kPartial, kStore>(value[k], dx.of(k, i), of);
      }
    }
    if (d_residual.present()) {
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        const Partial of{partial.count, owns_padding[1] ? partial.written : partial.count};
        store_to<A, kPartial, kStore>(gradient[k], d_residual.of(k, i), of);
      }
    }
  }

  static constexpr int kLine =
      kVectorsOfLine<Source> > kVectorsOfLine<Gradient> ? kVectorsOfLine<Source> : kVectorsOfLine<Gradient>;

  // Streams a line, or two, in each place. coefficient_of(v): those of its vector v.
  template <int kCount, class CoefficientOf>
  [[gnu::always_inline]] void step_line(Index i, const CoefficientOf& coefficient_of) const {
    if constexpr (!kLight) {
      this->x.template look_ahead_in_places<kCount, kLine>(i);
      this->dy.template look_ahead_in_places<kCount, kLine>(i);
    }
    Lines<A, Source, kCount, kLine> of_dx;
    Lines<A, Gradient, kCount, kLine> of_residual;
#pragma GCC unroll 1
    for (int vector = 0; vector < kLine; ++vector) {
      Vector gradient[kCount];
      Vector value[kCount];
      compute<kCount, false>(i + vector * kLanes, {kLanes, kLanes}, coefficient_of(vector), value, gradient);
      of_dx.set(vector, value);
      of_residual.set(vector, gradient);
    }
    if (dx.present()) of_dx.stream(dx, i);
    if (d_residual.present()) of_residual.stream(d_residual, i);
  }
};

}  // namespace
}  // namespace xbn::kernels
