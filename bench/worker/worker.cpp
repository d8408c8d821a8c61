/// A worker measures or checks cases with the one oneDNN that it is linked to. It reads requests from standard input
/// and answers on standard output, a line of JSON each: first {"threads", "isa", "repetitions"}, then cases; see
/// ../worker_process.hpp.

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <unistd.h>

#include <xbn/isa.hpp>

#include "../protocol.hpp"
#include "onednn.hpp"
#include "session.hpp"
#include "sleep.hpp"

namespace {

using nlohmann::json;

json answer(bench::Session& session, const json& request, int repetitions) {
  const bench::Case test_case = bench::case_from_json(request);
  if (request.at("command") == "parity") return session.parity(test_case);
  return session.compare(test_case, repetitions, request.at("verify").get<bool>());
}

/// Whatever a library may print must not get between the answers: they have a stream of their own, and what is printed
/// goes to standard error.
std::FILE* take_standard_output() {
  std::FILE* const answers = fdopen(dup(STDOUT_FILENO), "w");
  dup2(STDERR_FILENO, STDOUT_FILENO);
  return answers;
}

void send(std::FILE* answers, const json& message) {
  const std::string line = message.dump() + '\n';
  std::fputs(line.c_str(), answers);
  std::fflush(answers);
}

void serve(const json& settings, std::FILE* answers) {
  bench::Session session;
  const int repetitions = settings.at("repetitions").get<int>();
  for (std::string line; std::getline(std::cin, line);) {
    json reply;
    try {
      reply = answer(session, json::parse(line), repetitions);
      bench::wait_until_others_sleep();
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    send(answers, reply);
  }
}

}  // namespace

int main() {
  std::FILE* const answers = take_standard_output();
  try {
    std::string line;
    std::getline(std::cin, line);
    const json settings = json::parse(line);
    const int threads = settings.at("threads").get<int>();
    if (const auto isa = settings.at("isa").get<std::string>(); !isa.empty()) {
      xbn::force_isa(xbn::isa_from_name(isa));
      bench::limit_onednn_isa(xbn::isa_from_name(isa));
    }
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
    tbb::task_arena arena(threads);
    send(answers, {{"onednn", bench::onednn_version()}, {"isa", xbn::name(xbn::current_isa())}});
    arena.execute([&] { serve(settings, answers); });
  } catch (const std::exception& error) {
    send(answers, {{"error", error.what()}});
    return 1;
  }
  return 0;
}
