#pragma once

// Problems for the tests of types and fusions: each pair of what they consist of occurs in one.

#include <functional>

#include "fused_calls.hpp"

namespace xbn::test {

struct TypePair {
  DataType source;
  DataType destination;
};

/// Those that can be trained.
const std::vector<TypePair>& trained_types();
const std::vector<Activation>& every_activation();
const std::vector<Shape>& fused_shapes();

/// In layout ncx.
Problem fused_problem(const Shape& shape, DataType source, DataType destination, const Activation& activation);

/// Pitches, padding and places, the i-th of them; in place only where the problem allows it.
FusedPlacement placement_of(const Problem& problem, std::size_t i);

/// Every type, with every activation, with and without residual, over shapes and epsilon's places in turn. The layout
/// is yet to be chosen.
void for_each_fused_problem(const std::function<void(const Problem& problem, std::size_t i)>& visit);

}  // namespace xbn::test
