#include "fused_cases.hpp"

namespace xbn::test {

const std::vector<TypePair>& trained_types() {
  using enum DataType;
  static const std::vector<TypePair> pairs{{f32, f32},  {f32, bf16}, {f32, f16}, {bf16, bf16},
                                           {bf16, f32}, {f16, f16},  {f16, f32}, {f64, f64}};
  return pairs;
}

const std::vector<Activation>& every_activation() {
  static const std::vector<Activation> activations{{},
                                                   Activation::relu(),
                                                   Activation::leaky_relu(0.25F),
                                                   Activation::clipped_relu(0.75F),
                                                   Activation::sigmoid(),
                                                   Activation::tanh(),
                                                   Activation::silu()};
  return activations;
}

const std::vector<Shape>& fused_shapes() {
  static const std::vector<Shape> shapes{{1, 1, 1},   {2, 3, 1},    {5, 7, 2},   {40, 8, 1},   {2, 16, 49},
                                         {5, 17, 49}, {1, 40, 100}, {2, 65, 7},  {40, 3, 2},   {1, 2, 8500},
                                         {2, 9, 100}, {3, 64, 16},  {40, 40, 1}, {1, 3, 8300}, {18, 20, 49}};
  return shapes;
}

Problem fused_problem(const Shape& shape, DataType source, DataType destination, const Activation& activation) {
  Problem problem{Layout::ncx, shape.batch, shape.channels, shape.spatial};
  problem.source = source;
  problem.destination = destination;
  problem.activation = activation;
  return problem;
}

FusedPlacement placement_of(const Problem& problem, std::size_t i) {
  FusedPlacement placement;
  const std::vector<Pitch>& pitches = every_pitch();
  placement.source = pitches[i % 3];
  placement.second = pitches[i / 3 % 3];
  placement.result = pitches[(i + i / 3) % 3];
  placement.owns_padding = i % 2 == 0;
  if (i % 4 == 1 && problem.source == problem.destination) placement.place = Place::first;
  if (i % 4 == 2 && problem.residual) placement.place = Place::second;
  placement.mask = problem.activation.kind == ActivationKind::relu && i % 5 != 0;
  return placement;
}

void for_each_fused_problem(const std::function<void(const Problem& problem, std::size_t i)>& visit) {
  std::size_t i = 0;
  for (std::size_t t = 0; t < trained_types().size(); ++t) {
    for (std::size_t a = 0; a < every_activation().size(); ++a) {
      for (std::size_t r = 0; r < 2; ++r) {
        const Shape shape = fused_shapes()[(2 * a + r + t) % fused_shapes().size()];
        Problem problem;
        problem.batch = shape.batch;
        problem.channels = shape.channels;
        problem.spatial = shape.spatial;
        problem.source = trained_types()[t].source;
        problem.destination = trained_types()[t].destination;
        problem.activation = every_activation()[a];
        problem.residual = r == 1;
        if ((a + t) % 3 == 2) problem.epsilon_placement = EpsilonPlacement::outside_root;
        visit(problem, i++);
      }
    }
  }
}

}  // namespace xbn::test
