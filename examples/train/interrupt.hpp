#pragma once

#include <exception>

namespace train {

/// Thrown out of work that was told to stop.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

/// Makes SIGINT and SIGTERM ask the work to stop instead of ending the program.
void catch_interrupts();

bool interrupted();

void throw_if_interrupted();

}  // namespace train
