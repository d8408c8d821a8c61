#include "overlap.hpp"

#include <algorithm>
#include <numeric>

namespace xbn::internal {
namespace {

// A footprint whose runs are all of one length. A partial last channel block makes a footprint two lattices.
struct Lattice {
  std::uintptr_t begin;
  std::array<std::int64_t, 3> extents;
  std::array<std::int64_t, 3> pitches;
  std::int64_t run;
};

struct Lattices {
  std::array<Lattice, 2> parts;
  int count;
};

Lattices lattices(const Footprint& footprint) {
  const Lattice whole{footprint.begin, footprint.extents, footprint.pitches, footprint.run};
  if (footprint.last_run == footprint.run) return {{whole, whole}, 1};
  const std::int64_t last = footprint.extents[1] - 1;
  Lattice last_plane = whole;
  last_plane.begin += static_cast<std::uintptr_t>(last * footprint.pitches[1]);
  last_plane.extents[1] = 1;
  last_plane.run = footprint.last_run;
  if (last == 0) return {{last_plane, last_plane}, 1};
  Lattice full_planes = whole;
  full_planes.extents[1] = last;
  return {{full_planes, last_plane}, 2};
}

// Bytes from the first to the last of what dimension `from` and those within it repeat.
std::int64_t span(const Lattice& lattice, std::size_t from) {
  std::int64_t bytes = lattice.run;
  for (std::size_t i = from; i < 3; ++i) bytes += (lattice.extents[i] - 1) * lattice.pitches[i];
  return bytes;
}

// Takes dimension `from` and those within it, gaps included, as one run.
Lattice filled(Lattice lattice, std::size_t from) {
  lattice.run = span(lattice, from);
  for (std::size_t i = from; i < 3; ++i) lattice.extents[i] = 1;
  return lattice;
}

std::int64_t floor_divide(std::int64_t dividend, std::int64_t divisor) {
  return dividend / divisor - (dividend % divisor < 0);
}

// Whether a run of `a` and one of `b` share a byte, where `distance` = a - b for the index vectors chosen so far, and
// dimension `i` and those within it are still to choose. Only the difference of the two indices counts. It must bring
// the two spans within it together, and as they are nested in the pitch, two differences at most can; where three can,
// one side is a run longer than the pitch, and that has no gap in which the other could lie.
bool meet(const Lattice& a, const Lattice& b, std::int64_t distance, std::size_t i) {
  if (i == 3) return distance < b.run && -distance < a.run;
  if (a.extents[i] == 1 && b.extents[i] == 1) return meet(a, b, distance, i + 1);
  const std::int64_t pitch = a.extents[i] > 1 ? a.pitches[i] : b.pitches[i];
  const std::int64_t above = -span(a, i + 1) - distance;
  const std::int64_t below = span(b, i + 1) - distance;
  const std::int64_t first = std::max(floor_divide(above, pitch) + 1, 1 - b.extents[i]);
  const std::int64_t last = std::min(floor_divide(below - 1, pitch), a.extents[i] - 1);
  if (last - first >= 2) return true;
  for (std::int64_t difference = first; difference <= last; ++difference) {
    if (meet(a, b, distance + difference * pitch, i + 1)) return true;
  }
  return false;
}

// The outermost dimension in which both move, but not by the same pitch; 3 where there is none.
std::size_t first_difference(const Lattice& a, const Lattice& b) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (a.extents[i] > 1 && b.extents[i] > 1 && a.pitches[i] != b.pitches[i]) return i;
  }
  return 3;
}

bool residues_meet(const Lattice& a, const Lattice& b, std::int64_t distance) {
  std::int64_t divisor = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    if (a.extents[i] > 1) divisor = std::gcd(divisor, a.pitches[i]);
    if (b.extents[i] > 1) divisor = std::gcd(divisor, b.pitches[i]);
  }
  const std::int64_t residue = distance - floor_divide(distance, divisor) * divisor;
  return residue < b.run || divisor - residue < a.run;
}

bool overlap(const Lattice& a, const Lattice& b) {
  const auto distance = static_cast<std::int64_t>(a.begin - b.begin);
  const std::size_t differing = first_difference(a, b);
  if (differing == 3) return meet(a, b, distance, 0);
  return meet(filled(a, differing), filled(b, differing), distance, 0) && meet(filled(a, 0), b, distance, 0) &&
         meet(a, filled(b, 0), distance, 0) && residues_meet(a, b, distance);
}

}  // namespace

Footprint array_footprint(const void* data, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const auto run = static_cast<std::int64_t>(bytes);
  if (data == nullptr || bytes == 0) return {0, 0, {1, 1, 1}, {0, 0, 0}, 0, 0};
  return {begin, begin + bytes, {1, 1, 1}, {0, 0, 0}, run, run};
}

Footprint tensor_footprint(const void* data, std::int64_t element, const Nesting& nesting, const Strides& strides,
                           std::int64_t last_run) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  if (nesting.run == 0 || nesting.positions == 0 || nesting.planes == 0 || nesting.batch == 0) {
    return array_footprint(nullptr, 0);
  }
  const std::int64_t last_element = (nesting.batch - 1) * strides.batch + (nesting.planes - 1) * strides.channel +
                                    (nesting.positions - 1) * strides.position + last_run;
  return {begin,
          begin + static_cast<std::uintptr_t>(last_element * element),
          {nesting.batch, nesting.planes, nesting.positions},
          {nesting.batch > 1 ? strides.batch * element : 0, nesting.planes > 1 ? strides.channel * element : 0,
           nesting.positions > 1 ? strides.position * element : 0},
          nesting.run * element,
          last_run * element};
}

bool overlap(const Footprint& a, const Footprint& b) {
  if (!ranges_overlap(a, b)) return false;
  const Lattices of_a = lattices(a);
  const Lattices of_b = lattices(b);
  for (int i = 0; i < of_a.count; ++i) {
    for (int j = 0; j < of_b.count; ++j) {
      if (overlap(of_a.parts[i], of_b.parts[j])) return true;
    }
  }
  return false;
}

}  // namespace xbn::internal
