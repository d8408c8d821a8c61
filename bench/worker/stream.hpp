#pragma once

/// The memory limit: the fewest bytes that a case can move, streamed as fast as this machine can with the arena's
/// threads.

#include "contender.hpp"
#include "tensors.hpp"

namespace bench {

enum class Store { ordinary, streaming };
enum class Threads { all, one };  ///< one: waking the others costs more than it gains on small tensors
enum class Places { one, four };  ///< of its tensors that a thread streams through at a time

class StreamContender : public Contender {
 public:
  /// Two tensors read where the case needs x and dy, else one; one written.
  StreamContender(const Case& test_case, const Tensors& tensors, Store store, Threads threads, Places places);
  void run() override;

 private:
  using Kernel = void (*)(const float* first, const float* second, float* out, std::int64_t elements, Places places);

  Kernel kernel_;
  const float* first_;
  const float* second_;
  float* out_;
  std::int64_t elements_;
  Threads threads_;
  Places places_;
};

}  // namespace bench
