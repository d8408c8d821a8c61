#pragma once

/// What a case's time is held against: the memory limit.

#include <memory>

#include "stream.hpp"

namespace bench {

/// The fastest way to stream the case's bytes.
std::unique_ptr<StreamContender> fastest_stream(const Case& test_case, const Tensors& tensors);

}  // namespace bench
