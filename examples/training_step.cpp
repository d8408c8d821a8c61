// A batch-norm layer that trains: forward, backward, a step of gradient descent, running statistics as PyTorch keeps
// them. The layer learns to give its output a mean of 1 and a deviation of 2, from a loss of half the squared distance
// to such a target. Prints the loss as it falls.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <vector>

#include <xbn/xbn.hpp>

namespace {

class Layer {
 public:
  explicit Layer(const xbn::Problem& problem)
      : norm_(problem),
        gamma_(static_cast<std::size_t>(problem.channels), 1.0F),
        beta_(gamma_.size(), 0.0F),
        running_mean_(gamma_.size(), 0.0F),
        running_variance_(gamma_.size(), 1.0F),
        mean_(gamma_.size()),
        variance_(gamma_.size()),
        dgamma_(gamma_.size()),
        dbeta_(gamma_.size()) {}

  void forward(const std::vector<float>& x, std::vector<float>& y) {
    xbn::ForwardTraining args;
    args.x = x.data();
    args.y = y.data();
    args.gamma = gamma_.data();
    args.beta = beta_.data();
    args.mean = mean_.data();
    args.variance = variance_.data();
    args.running.mean = running_mean_.data();
    args.running.variance = running_variance_.data();
    args.running.update = xbn::RunningUpdate::pytorch(0.1);
    norm_.forward_training(args);
  }

  // dx takes the place of dy.
  void backward(const std::vector<float>& x, std::vector<float>& dy) {
    xbn::Backward args;
    args.x = x.data();
    args.dy = dy.data();
    args.dx = dy.data();
    args.gamma = gamma_.data();
    args.mean = mean_.data();
    args.variance = variance_.data();
    args.dgamma = dgamma_.data();
    args.dbeta = dbeta_.data();
    norm_.backward(args);
  }

  void descend(float rate) {
    for (std::size_t c = 0; c < gamma_.size(); ++c) {
      gamma_[c] -= rate * dgamma_[c];
      beta_[c] -= rate * dbeta_[c];
    }
  }

 private:
  xbn::BatchNorm norm_;
  std::vector<float> gamma_, beta_, running_mean_, running_variance_, mean_, variance_, dgamma_, dbeta_;
};

// The gradient of the loss half * mean of (y - target)^2 into dy; the loss.
double loss_gradient(const std::vector<float>& y, const std::vector<float>& target, std::vector<float>& dy) {
  double sum = 0.0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    dy[i] = y[i] - target[i];
    sum += 0.5 * static_cast<double>(dy[i]) * static_cast<double>(dy[i]);
    dy[i] /= static_cast<float>(y.size());
  }
  return sum / static_cast<double>(y.size());
}

bool loss_falls() {
  xbn::Problem problem;
  problem.layout = xbn::Layout::ncx;
  problem.batch = 16;
  problem.channels = 8;
  problem.spatial = 14 * 14;
  const auto elements =
      static_cast<std::size_t>(xbn::dense_elements(problem.layout, problem.batch, problem.channels, problem.spatial));

  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(elements), target(elements), y(elements), dy(elements);
  for (std::size_t i = 0; i < elements; ++i) {
    const float standard = normal(generator);
    x[i] = 5.0F + 0.1F * standard;
    target[i] = 1.0F + 2.0F * standard;
  }

  Layer layer(problem);
  double first = 0.0;
  double last = 0.0;
  for (int step = 0; step <= 40; ++step) {
    layer.forward(x, y);
    last = loss_gradient(y, target, dy);
    if (step == 0) first = last;
    layer.backward(x, dy);
    layer.descend(2.0F);
    if (step % 10 == 0) std::printf("step %2d: loss %.4f\n", step, last);
  }
  return last < 0.05 * first;
}

}  // namespace

int main() {
  try {
    return loss_falls() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "training_step: %s\n", error.what());
    return 1;
  }
}
