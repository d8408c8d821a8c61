// Problem descriptors and knobs of the comparison, as benchdnn means them.

#include "problem.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "cases.hpp"
#include "gtest/gtest.h"

namespace {

using bench::Case;
using bench::Direction;
using bench::parse_problem;
using bench::ParseError;
using bench::Shape;
using bench::Tag;

void expect_message(const std::function<void()>& parse, const std::vector<std::string>& parts) {
  try {
    parse();
    FAIL() << "nothing was refused";
  } catch (const std::invalid_argument& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
    }
  }
}

void expect_shape(const char* text, std::vector<std::int64_t> sizes, int rank) {
  SCOPED_TRACE(text);
  const Shape shape = parse_problem("problem", text);
  EXPECT_EQ((std::vector{shape.batch, shape.channels, shape.depth, shape.height, shape.width}), sizes);
  EXPECT_EQ(shape.rank, rank);
}

TEST(Problem, MissingSizesMeanWhatTheyMeanInBenchdnn) {
  expect_shape("mb50ic64ih112n\"resnet_50:conv1\"", {50, 64, 1, 112, 112}, 4);
  expect_shape("mb1ic1024ih28iw17_n\"x\"", {1, 1024, 1, 28, 17}, 4);
  expect_shape("mb1ic16iw1n\"x\"", {1, 16, 1, 1, 1}, 3);
  expect_shape("mb1ic16id40_n\"x\"", {1, 16, 40, 40, 40}, 5);
  expect_shape("mb32ic128id12ih10iw8_", {32, 128, 12, 10, 8}, 5);
  expect_shape("ic23_n\"x\"", {2, 23, 1, 1, 1}, 2);
  expect_shape("mb50_ic64_ih112iw112_n\"x\"", {50, 64, 1, 112, 112}, 4);
  expect_shape("iw3ic2mb9", {9, 2, 1, 1, 3}, 3);
}

TEST(Problem, EpsilonAndName) {
  EXPECT_EQ(parse_problem("problem", "ic3ih4").epsilon, 1.0 / 16);
  EXPECT_EQ(parse_problem("problem", "ic3ih4eps0.5n\"a_b*4\"").epsilon, 0.5);
  EXPECT_EQ(parse_problem("problem", "ic3ih4eps0.5n\"a_b*4\"").name, "a_b*4");
  EXPECT_EQ(parse_problem("problem", "ic3ih4na_b").name, "a_b") << "shells take the quotes away";
}

TEST(Problem, WhatDoesNotParseIsReportedWithItsPosition) {
  const auto refused = [](const char* text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    expect_message([&] { parse_problem("problem", text); }, parts);
  };
  refused("mb2ic3xx4", {"problem", "7", "xx4"});
  refused("mb2ic0ih4", {"ic", "6", "0"});
  refused("mb2ic-3ih4", {"ic", "6", "-3"});
  refused("mb2ic99999999999999999999ih4", {"ic", "6"});
  refused("mb2ih4", {"ic"});
  refused("mb2mb3ic4", {"mb", "twice"});
  refused("ic3ih4n\"open", {"name", "end"});
  refused("ic3ih4epsnan", {"eps", "nan"});
  refused("ic3ih4eps-1", {"eps", "-1"});
  refused("mb4000000000ic4000000000ih4000000000", {"mb4000000000"});
  EXPECT_THROW(parse_problem("problem", ""), ParseError);
}

TEST(Knobs, AreListsOfBenchdnnsValues) {
  EXPECT_EQ(bench::parse_directions("--dir", "FWD_D,BWD_DW"), (std::vector{Direction::fwd_d, Direction::bwd_dw}));
  EXPECT_EQ(bench::parse_tags("--tag", "aBx16b"), std::vector{Tag::aBx16b});
  const std::vector<bench::Flags> flags = bench::parse_flags("--flags", "GCH");
  ASSERT_EQ(flags.size(), 1U);
  EXPECT_TRUE(flags[0].given_statistics && flags[0].gamma && flags[0].beta);
  expect_message([] { bench::parse_directions("--dir", "FWD_D,BWD"); }, {"--dir", "BWD", "7"});
  expect_message([] { bench::parse_tags("--tag", "abx,"); }, {"--tag"});
  expect_message([] { bench::parse_flags("--flags", "CX"); }, {"--flags", "X", "2"});
  expect_message([] { bench::parse_positive("--mb", "3x"); }, {"--mb", "x"});
}

TEST(Knobs, ExpandToEveryCombinationOnce) {
  bench::Knobs knobs;
  knobs.problems = {parse_problem("problem", "ic3ih4"), parse_problem("problem", "mb5ic7")};
  knobs.directions = bench::parse_directions("--dir", "FWD_D,FWD_I");
  knobs.tags = bench::parse_tags("--tag", "abx,axb,aBx8b");
  knobs.flags = bench::parse_flags("--flags", "CH,GCH");
  std::set<std::string> seen;
  for (const Case& one : bench::expand(knobs)) {
    const std::string key = bench::descriptor(one.shape) + ' ' + std::string(bench::name(one.direction)) + ' ' +
                            std::string(bench::name(one.tag)) + ' ' + bench::text(one.flags);
    EXPECT_TRUE(seen.insert(key).second) << key << " twice";
    EXPECT_TRUE(one.shape.rank > 2 || one.tag == Tag::abx) << "nc has one layout";
  }
  // FWD_D with and without G, and FWD_I, which implies it: 3, in 3 layouts and in nc.
  EXPECT_EQ(seen.size(), 3U * 3U + 3U);
}

TEST(Knobs, BatchReplacesThatOfEveryProblem) {
  bench::Knobs knobs;
  knobs.problems = {parse_problem("problem", "mb9ic3ih4")};
  knobs.directions = {Direction::fwd_d};
  knobs.tags = {Tag::abx};
  knobs.flags = {{}};
  knobs.batch = 4;
  ASSERT_EQ(bench::expand(knobs).size(), 1U);
  EXPECT_EQ(bench::expand(knobs)[0].shape.batch, 4);
  knobs.batch = std::int64_t{1} << 60;
  EXPECT_THROW(bench::expand(knobs), std::invalid_argument);
}

TEST(ProblemFiles, AllParse) {
  const std::vector<std::pair<const char*, std::size_t>> sets = {{"1d", 5},
                                                                 {"2d", 6},
                                                                 {"3d", 2},
                                                                 {"ci", 7},
                                                                 {"regressions", 10},
                                                                 {"resnet_50", 9},
                                                                 {"googlenet_v2", 23},
                                                                 {"googlenet_v3", 18},
                                                                 {"densenet_121", 65}};
  for (const auto& [name, count] : sets) {
    const std::filesystem::path file = std::filesystem::path(XBN_PROBLEMS_DIR) / (std::string(name) + ".txt");
    EXPECT_EQ(bench::read_problems(file).size(), count) << file;
  }
}

TEST(ProblemFiles, ComplainWithTheLine) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "xbn_problem_test.txt";
  std::ofstream(file) << "# a comment\nic3ih4 # another\n\nic3zz\n";
  expect_message([&] { bench::read_problems(file); }, {"4", "zz"});
  std::filesystem::remove(file);
  expect_message([&] { bench::read_problems(file); }, {file.string()});
}

}  // namespace
