#include "interrupt.hpp"

#include <atomic>
#include <csignal>

namespace train {
namespace {

std::atomic<bool> asked_to_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { asked_to_stop.store(true); };
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return asked_to_stop.load(); }

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace train
