// Types, flags and post-ops of the comparison, as benchdnn writes them.

#include "types_and_post_ops.hpp"

#include <functional>

#include "cases.hpp"
#include "gtest/gtest.h"

namespace {

using bench::Case;
using bench::Direction;
using bench::parse_data_types;
using bench::parse_post_ops;
using bench::PostOp;
using bench::Types;
using xbn::ActivationKind;
using xbn::DataType;

void expect_message(const std::function<void()>& parse, const std::vector<std::string>& parts) {
  try {
    parse();
    FAIL() << "nothing was refused";
  } catch (const bench::ParseError& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
    }
  }
}

TEST(DataTypes, AreTypesOrPairs) {
  EXPECT_EQ(parse_data_types("--dt", "f32,bf16:f32,bf16,f32"),
            (std::vector<Types>{
                {DataType::f32, DataType::f32}, {DataType::bf16, DataType::f32}, {DataType::bf16, DataType::bf16}}));
  for (const char* text :
       {"f32", "f64", "bf16", "f16", "s8", "u8", "f32:bf16", "f16:f32", "s8:f32", "s8:u8", "f32:u8"}) {
    const std::vector<Types> types = parse_data_types("--dt", text);
    ASSERT_EQ(types.size(), 1U) << text;
    EXPECT_EQ(bench::text(types[0]), text);
  }
  EXPECT_EQ(parse_data_types("--dt", "f64")[0].parameters(), DataType::f64);
  EXPECT_EQ(parse_data_types("--dt", "bf16")[0].parameters(), DataType::f32);
}

TEST(DataTypes, WhatXbnDoesNotHaveIsReportedWithItsPosition) {
  expect_message([] { parse_data_types("--dt", "f32,s4"); }, {"--dt", "character 5", "f64", "s4"});
  expect_message([] { parse_data_types("--dt", "f32,bf16:f16"); }, {"character 10", "bf16, f32", "\"f16\""});
  expect_message([] { parse_data_types("--dt", "f64:f32"); }, {"character 5", "must be f64"});
  expect_message([] { parse_data_types("--dt", "f32:f32:f32"); }, {"character 8", "source:destination"});
  expect_message([] { parse_data_types("--dt", ""); }, {"character 1"});
}

TEST(PostOps, AreBenchdnnsElementwiseOperations) {
  EXPECT_EQ(parse_post_ops("--attr-post-ops", ""), std::vector<PostOp>{{}});
  EXPECT_EQ(
      parse_post_ops("--attr-post-ops", ",relu,relu:0,relu:0.25,logistic,tanh,swish,swish:1,clip,clip:0:6,clip:0:2"),
      (std::vector<PostOp>{{},
                           {ActivationKind::relu},
                           {ActivationKind::leaky_relu, 0.25F},
                           {ActivationKind::sigmoid},
                           {ActivationKind::tanh},
                           {ActivationKind::silu},
                           {ActivationKind::clipped_relu, 6},
                           {ActivationKind::clipped_relu, 2}}));
  for (const char* text : {"", "relu", "relu:0.25", "logistic", "tanh", "swish", "clip:0:6", "clip:0:0.5"}) {
    EXPECT_EQ(bench::text(parse_post_ops("--attr-post-ops", text)[0]), text);
  }
}

TEST(PostOps, WhatDoesNotParseIsReportedWithItsPosition) {
  const auto refused = [](const char* text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    expect_message([&] { parse_post_ops("--attr-post-ops", text); }, parts);
  };
  refused("relu,elu", {"--attr-post-ops", "character 6", "logistic", "elu"});
  refused("relu:x", {"character 6", "finite", "\"x\""});
  refused("relu:inf", {"character 6", "finite"});
  refused("relu:0.1:2", {"character 10", "at most 1"});
  refused("tanh:1", {"character 6", "no parameter"});
  refused("swish:2", {"character 7", "alpha", "1"});
  refused("clip:-1:6", {"character 6", "lower bound"});
  refused("tanh,clip:0:0", {"character 13", "upper bound", "more than 0"});
}

TEST(Flags, RAndAAreActivations) {
  const std::vector<bench::Flags> flags = bench::parse_flags("--flags", "CHR,GA");
  ASSERT_EQ(flags.size(), 2U);
  EXPECT_TRUE(flags[0].relu && !flags[0].add_relu);
  EXPECT_TRUE(flags[1].add_relu && !flags[1].relu);
  EXPECT_EQ(bench::text(flags[0]), "CHR");
  EXPECT_EQ(bench::text(flags[1]), "GA");
  expect_message([] { bench::parse_flags("--flags", "CHR,RA"); }, {"--flags", "character 6", "both"});
}

TEST(Cases, WhatThereIsNotIsLeftOut) {
  bench::Knobs knobs;
  knobs.problems = {bench::parse_problem("problem", "ic3ih4")};
  knobs.tags = {bench::Tag::abx};
  knobs.directions = {Direction::fwd_d, Direction::fwd_i, Direction::bwd_dw};
  knobs.types = parse_data_types("--dt", "f32,s8");
  knobs.flags = bench::parse_flags("--flags", "CH,CHR,CHA");
  knobs.post_ops = parse_post_ops("--attr-post-ops", ",tanh");
  // f32: three directions, with CH none and tanh, with CHR and CHA none. s8: forward inference, and not CHA.
  const std::vector<Case> cases = bench::expand(knobs);
  EXPECT_EQ(cases.size(), 3U * 4U + 3U);
  for (const Case& one : cases) {
    EXPECT_FALSE(one.flags.relu && one.post_op.kind != ActivationKind::none);
    EXPECT_FALSE(one.types.integers() && (one.direction != Direction::fwd_i || one.flags.add_relu));
    EXPECT_EQ(one.has_mask(), (one.flags.relu || one.flags.add_relu) && one.direction != Direction::fwd_i);
  }
  knobs.directions = {Direction::bwd_dw};
  knobs.types = parse_data_types("--dt", "u8");
  EXPECT_THROW(bench::expand(knobs), std::invalid_argument);
}

}  // namespace
