#pragma once

/// The memory limit: the fewest bytes that a case can move, streamed as fast as this machine can with the arena's
/// threads.

#include <cstddef>
#include <memory>

#include "contender.hpp"
#include "stream_mix.hpp"
#include "tensors.hpp"

namespace bench {

enum class Store { ordinary, streaming };
enum class Threads { all, one };  ///< one: waking the others costs more than it gains on small tensors
enum class Places { one, four };  ///< of its tensors that a thread streams through at a time

class StreamContender : public Contender {
 public:
  /// Read are x in forward, dy and (where the case needs it) x in backward, residual and mask; written y or dx,
  /// d_residual and mask; each in its own width.
  StreamContender(const Case& test_case, const Tensors& tensors, Store store, Threads threads, Places places);
  void run() override;

 private:
  using Kernel = void (*)(const float* first, const float* second, float* out, std::int64_t elements, Places places);
  struct FreeLines {
    void operator()(std::byte* data) const;
  };

  void run_part(std::int64_t begin, std::int64_t end);

  std::int64_t elements_;
  Store store_;
  Threads threads_;
  Places places_;
  std::unique_ptr<std::byte, FreeLines> mask_{};
  Mix mix_{};
  Kernel kernel_ = nullptr;  ///< for tensors of one width and no mask
  std::int64_t floats_ = 0;  ///< and what that counts in
};

}  // namespace bench
