#pragma once

// Calls of the library on tensors that are made for them, each checked for what it wrote beside its results.

#include "tensor_buffer.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::test {

const float* data_or_null(const Values& values);

Problem problem_of(Layout layout, const Shape& shape, const Epsilon& epsilon = {});
Shape shape_of(const BatchNorm& object);

/// Which tensor the destination is.
enum class Destination { separate, x, dy };

/// Where the tensors of a call lie.
struct Placement {
  Pitch x = Pitch::dense;
  Pitch dy = Pitch::dense;
  Pitch result = Pitch::dense;  ///< of y or dx, where it is separate
  bool owns_padding = true;
  Destination destination = Destination::separate;
};

struct Trained {
  Values y;
  Values mean;
  Values variance;
};

Trained train(const BatchNorm& object, const Values& x, const Parameters& parameters, const Placement& placement = {},
              const RunningStatistics& running = {});

Values infer(const BatchNorm& object, const Values& x, const Parameters& parameters, const Values& mean,
             const Values& variance, const Placement& placement = {});

/// Two numbers a channel where `mean` is empty, else three.
Values apply_folded(const BatchNorm& object, const Values& x, const Values& mean, const Values& scale,
                    const Values& shift, const Placement& placement = {});

/// x empty: null.
struct BackwardInputs {
  Statistics statistics = Statistics::batch;
  Values x;
  Values dy;
  Values gamma;
  Values mean;
  Values variance;
};

/// Which results are asked for.
struct Wanted {
  bool dx = true;
  bool dgamma = true;
  bool dbeta = true;
};

/// Those that were not asked for are empty.
struct Gradients {
  Values dx;
  Values dgamma;
  Values dbeta;
};

Gradients differentiate(const BatchNorm& object, const BackwardInputs& inputs, const Placement& placement = {},
                        const Wanted& wanted = {});

}  // namespace xbn::test
