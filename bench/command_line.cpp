#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <limits>
#include <thread>

#include <xbn/isa.hpp>

namespace bench {
namespace {

/// The knobs as they were given.
struct Texts {
  std::vector<std::string> problems{};
  std::vector<std::string> batch{};
  std::string dir = "FWD_D,FWD_I,BWD_DW";
  std::string dt = "f32";
  std::string tag = "abx,axb,aBx16b";
  std::string flags = "CH";
  std::string attr_post_ops{};
  std::string mb{};
  std::string onednn{};
  std::string threads = std::to_string(std::max(1u, std::thread::hardware_concurrency()));
  std::string isa{};
  std::string repetitions = "7";
  std::string json{};
};

constexpr const char* footer = R"(
Problems are written as oneDNN's benchdnn writes them: mb50ic64ih112n"resnet_50:conv1" is a batch of 50 with 64 channels
of 112 x 112. A missing iw is ih, a missing ih is id, a missing mb is 2; epsX sets epsilon (else 1/16); '_' between the
parts is ignored. Without problem and --batch, ResNet-50's layers are taken.

Types: f32, f64, bf16, f16, s8, u8, or a pair source:destination such as f32:bf16; s8 and u8 in forward inference only.
Flags: G given statistics, C gamma, H beta, S both, R ReLU, A a residual and ReLU; in training R and A keep a mask.
Post-ops, in place of R and A: relu, relu:SLOPE, logistic, tanh, swish, clip:0:BOUND; empty for none. Forward inference (FWD_I) has given statistics with and without G.
Several values of a knob are separated by commas; every combination is run.)";

void declare(CLI::App& app, Texts& texts) {
  app.add_option("problem", texts.problems, "problem descriptors");
  app.add_option("--batch", texts.batch,
                 "file of problem descriptors, one a line, or the name of one in bench/problems")
      ->allow_extra_args(false)
      ->delimiter(',');
  app.add_option("--dir", texts.dir, "directions: FWD_D, FWD_I, BWD_D, BWD_DW")->capture_default_str();
  app.add_option("--dt", texts.dt, "data types, or pairs source:destination")->capture_default_str();
  app.add_option("--tag", texts.tag, "layouts: abx (nchw), axb (nhwc), aBx8b, aBx16b")->capture_default_str();
  app.add_option("--flags", texts.flags, "normalization flags, of G, C, H, S, R, A; may be empty")
      ->capture_default_str();
  app.add_option("--attr-post-ops", texts.attr_post_ops, "element-wise operations after the normalization");
  app.add_option("--mb", texts.mb, "batch of every problem, in place of its own");
  app.add_option("--onednn", texts.onednn, "oneDNN builds: tbb, gomp, system, or the prefix of another [tbb,gomp]");
  app.add_option("--threads", texts.threads, "threads of each library")->capture_default_str();
  app.add_option("--isa", texts.isa, "newest instruction set for both libraries: sse2, avx2, avx512")
      ->envname("XBN_MAX_ISA");
  app.add_option("--repetitions", texts.repetitions, "interleaved repetitions of each measurement")
      ->capture_default_str();
  app.add_option("--json", texts.json, "file to write the results to, an array of objects");
  app.footer(footer);
}

/// CLI11 takes the next argument for the value where a knob's is empty.
std::vector<std::string> with_empty_values_spelled_out(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string& argument = arguments[i];
    if (argument == "--flags=" || argument == "--attr-post-ops=") {
      argument += ',';
    } else if (argument.starts_with("--") && argument.ends_with('=')) {
      throw std::invalid_argument("argument " + std::to_string(i + 1) + ": " + argument +
                                  " must be followed by a value; was empty");
    }
  }
  return arguments;
}

void refuse_unknown(const std::vector<std::string>& arguments, const std::vector<std::string>& unknown) {
  if (unknown.empty()) return;
  const auto position = std::find(arguments.begin(), arguments.end(), unknown.front()) - arguments.begin();
  throw std::invalid_argument("argument " + std::to_string(position + 1) +
                              ": must be a problem or a knob of those that --help lists; was \"" + unknown.front() +
                              '"');
}

int parse_count(std::string_view origin, const std::string& text, int most) {
  const std::int64_t value = parse_positive(origin, text);
  if (value > most) throw ParseError(origin, text, 0, "must be at most " + std::to_string(most) + "; was more");
  return static_cast<int>(value);
}

std::filesystem::path find_batch(const std::string& name) {
  const std::filesystem::path known(XBN_PROBLEMS_DIR);
  for (const std::filesystem::path& file : {std::filesystem::path(name), known / name, known / (name + ".txt")}) {
    if (std::filesystem::is_regular_file(file)) return file;
  }
  return name;
}

std::vector<Shape> problems_of(const Texts& texts) {
  std::vector<Shape> problems;
  const bool none = texts.batch.empty() && texts.problems.empty();
  for (const std::string& file : none ? std::vector<std::string>{"resnet_50"} : texts.batch) {
    for (Shape& shape : read_problems(find_batch(file))) problems.push_back(std::move(shape));
  }
  for (std::size_t i = 0; i < texts.problems.size(); ++i) {
    problems.push_back(parse_problem("problem " + std::to_string(i + 1), texts.problems[i]));
  }
  return problems;
}

std::string checked_isa(const std::string& isa) {
  if (isa.empty()) return isa;
  std::string supported;
  for (const xbn::Isa candidate : xbn::supported_isas()) {
    if (isa == xbn::name(candidate)) return isa;
    supported += (supported.empty() ? "" : ", ") + std::string(xbn::name(candidate));
  }
  throw ParseError("--isa", isa, 0,
                   "must be an instruction set of this machine, one of " + supported + "; was another");
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names = CLI::detail::split(list, ',');
  if (list.empty()) names.clear();
  if (std::find(names.begin(), names.end(), "") != names.end()) {
    throw std::invalid_argument("--onednn: must be a list of names; was \"" + list + "\", which has an empty one");
  }
  return names;
}

CommandLine checked(const Texts& texts) {
  Knobs knobs;
  knobs.types = parse_data_types("--dt", texts.dt);
  knobs.post_ops = parse_post_ops("--attr-post-ops", texts.attr_post_ops);
  knobs.directions = parse_directions("--dir", texts.dir);
  knobs.tags = parse_tags("--tag", texts.tag);
  knobs.flags = parse_flags("--flags", texts.flags);
  if (!texts.mb.empty()) knobs.batch = parse_positive("--mb", texts.mb);
  knobs.problems = problems_of(texts);

  CommandLine command_line;
  command_line.cases = expand(knobs);
  command_line.worker.threads = parse_count("--threads", texts.threads, 4096);
  command_line.worker.repetitions = parse_count("--repetitions", texts.repetitions, 1'000'000);
  command_line.worker.isa = checked_isa(texts.isa);
  command_line.onednn = split_names(texts.onednn);
  command_line.json_file = texts.json;
  return command_line;
}

}  // namespace

std::optional<CommandLine> parse_command_line(const std::string& description, int argc, const char* const* argv) {
  CLI::App app(description, std::filesystem::path(argv[0]).filename());
  app.allow_extras();
  Texts texts;
  declare(app, texts);
  const std::vector<std::string> arguments = with_empty_values_spelled_out(argc, argv);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(error.what());
  }
  refuse_unknown(arguments, app.remaining());
  return checked(texts);
}

}  // namespace bench
