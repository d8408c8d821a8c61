#pragma once

/// What stream_mix does, in the registers of an instruction set. Each stream_mix_*.cpp, compiled with that set's flags,
/// says what they are.

#include <cstring>
#include <immintrin.h>

#include "stream_mix.hpp"

namespace bench {
namespace {

constexpr int line_bytes = 64;
constexpr int elements_a_turn = 64;
constexpr int turns_a_group = mix_group / elements_a_turn;

/// Of a tensor in one turn; of a mask in a group.
inline int lines_of(int bits) { return bits == 1 ? 1 : bits / 8; }

/// Set has a type Register, and load, store, stream and exclusive_or of it.
template <class Set>
struct Line {
  using Register = typename Set::Register;
  static constexpr int parts = line_bytes / static_cast<int>(sizeof(Register));

  Register part[parts];

  static Line load(const std::byte* from) {
    Line line;
    for (int i = 0; i < parts; ++i) line.part[i] = Set::load(reinterpret_cast<const Register*>(from) + i);
    return line;
  }
  template <bool streaming>
  void store(std::byte* to) const {
    for (int i = 0; i < parts; ++i) {
      auto* const at = reinterpret_cast<Register*>(to) + i;
      streaming ? Set::stream(at, part[i]) : Set::store(at, part[i]);
    }
  }
  void add(const Line& other) {
    for (int i = 0; i < parts; ++i) part[i] = Set::exclusive_or(part[i], other.part[i]);
  }
};

/// What is written depends on all that is read. It stays in registers: other stores would wait behind the streaming
/// ones.
template <class Set, bool streaming>
inline void take_lines(const Mix& mix, std::int64_t element, bool of_masks) {
  Line<Set> sum{};
  for (const Mix::Read& read : mix.reads) {
    if ((read.bits == 1) != of_masks) continue;
    const std::byte* const from = read.data + element / 8 * read.bits;
    for (int l = 0; l < lines_of(read.bits); ++l) sum.add(Line<Set>::load(from + l * line_bytes));
  }
  for (const Mix::Write& write : mix.writes) {
    if ((write.bits == 1) != of_masks) continue;
    std::byte* const to = write.data + element / 8 * write.bits;
    for (int l = 0; l < lines_of(write.bits); ++l) sum.template store<streaming>(to + l * line_bytes);
  }
}

/// The places take turns: each goes on by some lines, as prefetchers follow best. A mask has one line for eight turns
/// of another tensor.
template <class Set, bool streaming>
inline void stream_lines(const Mix& mix, std::int64_t first, std::int64_t count, int places) {
  const std::int64_t groups = count / mix_group / places;
  const auto begin = [&](int place, std::int64_t group) { return first + (place * groups + group) * mix_group; };
  for (std::int64_t g = 0; g < groups; ++g) {
    for (int turn = 0; turn < turns_a_group; ++turn) {
      for (int place = 0; place < places; ++place) {
        take_lines<Set, streaming>(mix, begin(place, g) + turn * elements_a_turn, false);
      }
    }
    for (int place = 0; place < places; ++place) take_lines<Set, streaming>(mix, begin(place, g), true);
  }
  // What is left over is less than a group a place: its bytes are written.
  const std::int64_t done = groups * places * mix_group;
  for (const Mix::Write& write : mix.writes) {
    const std::int64_t rest = (first + done) * write.bits / 8, end = ((first + count) * write.bits + 7) / 8;
    std::memset(write.data + rest, 0, static_cast<std::size_t>(end - rest));
  }
}

template <class Set>
inline void stream_mix_by(const Mix& mix, std::int64_t first, std::int64_t count, int places, bool streaming) {
  if (streaming) {
    stream_lines<Set, true>(mix, first, count, places);
    _mm_sfence();
  } else {
    stream_lines<Set, false>(mix, first, count, places);
  }
}

}  // namespace
}  // namespace bench
