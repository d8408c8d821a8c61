#pragma once

#include <cstdint>
#include <functional>

namespace train {

/// body(0) to body(count - 1), on `jobs` threads; the order in which they start is that of the indices. Throws what the
/// first of them throws, after those that have started have ended.
void for_each_parallel(int jobs, std::int64_t count, const std::function<void(std::int64_t)>& body);

}  // namespace train
