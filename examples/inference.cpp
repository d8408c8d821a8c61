// Inference in nhwc with a trained layer's statistics, in place: straight, and with everything that does not depend on
// the input computed once. Prints the largest difference between the two.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <vector>

#include <xbn/xbn.hpp>

namespace {

std::vector<float> uniform(std::int64_t count, float low, float high, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(low, high);
  std::vector<float> values(static_cast<std::size_t>(count));
  std::generate(values.begin(), values.end(), [&] { return distribution(generator); });
  return values;
}

double largest_difference() {
  xbn::Problem problem;
  problem.layout = xbn::Layout::nxc;
  problem.batch = 8;
  problem.channels = 64;
  problem.spatial = 56 * 56;

  const std::vector<float> gamma = uniform(problem.channels, 0.5F, 1.5F, 1);
  const std::vector<float> beta = uniform(problem.channels, -0.5F, 0.5F, 2);
  const std::vector<float> mean = uniform(problem.channels, -1.0F, 1.0F, 3);
  const std::vector<float> variance = uniform(problem.channels, 0.5F, 2.0F, 4);
  std::vector<float> straight =
      uniform(xbn::dense_elements(problem.layout, problem.batch, problem.channels, problem.spatial), -3.0F, 3.0F, 5);
  std::vector<float> folded = straight;

  const xbn::BatchNorm layer(problem);

  xbn::ForwardInference inference;
  inference.x = straight.data();
  inference.y = straight.data();
  inference.gamma = gamma.data();
  inference.beta = beta.data();
  inference.mean = mean.data();
  inference.variance = variance.data();
  layer.forward_inference(inference);

  xbn::FoldedSource trained;
  trained.channels = problem.channels;
  trained.gamma = gamma.data();
  trained.beta = beta.data();
  trained.mean = mean.data();
  trained.variance = variance.data();
  std::vector<float> folded_mean(mean.size());
  std::vector<float> scale(mean.size());
  std::vector<float> shift(mean.size());
  xbn::fold_mean_scale_shift(trained, folded_mean.data(), scale.data(), shift.data());

  xbn::ForwardFolded apply;
  apply.x = folded.data();
  apply.y = folded.data();
  apply.mean = folded_mean.data();
  apply.scale = scale.data();
  apply.shift = shift.data();
  layer.forward_folded(apply);

  double largest = 0.0;
  for (std::size_t i = 0; i < straight.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(straight[i]) - static_cast<double>(folded[i])));
  }
  return largest;
}

}  // namespace

int main() {
  try {
    const double largest = largest_difference();
    std::printf("straight and folded inference differ by at most %.1e\n", largest);
    return largest < 1e-5 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "inference: %s\n", error.what());
    return 1;
  }
}
