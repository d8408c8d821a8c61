// Bad input to the phases of which the whole operations are composed.

#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "refusal.hpp"
#include "spoiled_call.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn {
namespace {

using test::channels;
using test::expect_refused;
using test::floats;
using test::message_of;
using test::Setting;

constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();

Moments moments_in(Setting& setting, std::int64_t count) {
  return {count, setting.double_array(), setting.double_array()};
}

GradientSums sums_in(Setting& setting, std::int64_t count) {
  return {count, setting.double_array(), setting.double_array(), setting.double_array()};
}

/// What the lambdas of a table spoil: arguments together with the struct that they point to.
struct MomentsCall {
  MomentsArgs args;
  Moments moments;
};

TEST(PhaseValidation, OfMoments) {
  Setting s(Layout::ncx);
  MomentsCall legal;
  legal.moments = moments_in(s, 0);
  legal.args.x = s.tensor();
  legal.args.scratch = s.scratch();
  using C = MomentsCall;
  expect_refused<C>(
      [&](const C& call) {
        Moments moments = call.moments;
        MomentsArgs args = call.args;
        args.moments = &moments;
        s.object.moments(args);
      },
      legal, s.arena,
      {{[](C& c) { c.args.x.data = nullptr; }, "x", "null"},
       {[](C& c) { c.args.x.strides.channel = 5; }, "x.strides.channel", "5"},
       {[](C& c) { c.moments.mean = nullptr; }, "moments.mean", "null"},
       {[](C& c) { c.moments.m2 = nullptr; }, "moments.m2", "null"},
       {[](C& c) { c.moments.m2 = c.moments.mean + channels - 1; }, "moments.m2", "152 bytes after moments.mean"},
       {[](C& c) { c.args.x.data = reinterpret_cast<float*>(c.moments.mean); }, "moments.mean", "at x"},
       {[](C& c) { c.args.scratch.data = floats(c.args.x); }, "scratch.data", "at x"},
       {[](C& c) { c.args.scratch.bytes = 3; }, "scratch.bytes", "3"}});
  EXPECT_EQ(message_of([&] { s.object.moments(legal.args); }), "moments must not be null, was null");
}

struct MomentsPair {
  Moments into;
  Moments from;
};

TEST(PhaseValidation, OfMergingMoments) {
  Setting s(Layout::ncx);
  const MomentsPair legal{moments_in(s, 3), moments_in(s, 4)};
  using C = MomentsPair;
  const auto merge = [&](const C& pair) {
    Moments into = pair.into;
    s.object.merge(into, pair.from);
    EXPECT_EQ(into.count, pair.into.count + pair.from.count);
  };
  expect_refused<C>(merge, legal, s.arena,
                    {{[](C& c) { c.into.count = -1; }, "into.count", "-1"},
                     {[](C& c) { c.from.count = -2; }, "from.count", "-2"},
                     {[](C& c) { c.from.count = max_int64 - 2; }, "from.count", "9223372036854775805"},
                     {[](C& c) { c.into.mean = nullptr; }, "into.mean", "null"},
                     {[](C& c) { c.into.m2 = nullptr; }, "into.m2", "null"},
                     {[](C& c) { c.from.mean = nullptr; }, "from.mean", "null"},
                     {[](C& c) { c.from.m2 = nullptr; }, "from.m2", "null"},
                     {[](C& c) { c.into.mean = c.into.m2; }, "into.m2", "at into.mean"},
                     {[](C& c) { c.into.m2 = c.from.mean + 1; }, "into.m2", "8 bytes after from.mean"},
                     {[](C& c) { c.from = c.into; }, "into.mean", "at from.mean"}});
  EXPECT_NO_THROW(merge({legal.into, {}}));
  MomentsPair into_nothing = legal;
  into_nothing.into.count = 0;
  EXPECT_NO_THROW(merge(into_nothing));
}

struct FinaliseCall {
  FinaliseArgs args;
  Moments moments;
};

TEST(PhaseValidation, OfFinalisingMoments) {
  Setting s(Layout::ncx);
  FinaliseCall legal;
  legal.moments = moments_in(s, 4);
  legal.args.gamma = s.array();
  legal.args.beta = s.array();
  legal.args.mean = s.array();
  legal.args.variance = s.array();
  legal.args.scale = s.array();
  legal.args.shift = s.array();
  legal.args.running.mean = s.array();
  legal.args.running.variance = s.array();
  using C = FinaliseCall;
  const auto finalise = [&](const C& call) {
    FinaliseArgs args = call.args;
    args.moments = &call.moments;
    s.object.finalise(args);
  };
  expect_refused<C>(finalise, legal, s.arena,
                    {{[](C& c) { c.moments.count = 0; }, "moments.count", "0"},
                     {[](C& c) { c.moments.count = -4; }, "moments.count", "-4"},
                     {[](C& c) { c.moments.mean = nullptr; }, "moments.mean", "null"},
                     {[](C& c) { c.moments.m2 = nullptr; }, "moments.m2", "null"},
                     {[](C& c) { c.args.mean = nullptr; }, "mean", "null"},
                     {[](C& c) { c.args.scale = nullptr; }, "scale", "null"},
                     {[](C& c) { c.args.shift = nullptr; }, "shift", "null"},
                     {[](C& c) { c.args.running.mean = nullptr; }, "running.mean", "null"},
                     {[](C& c) { c.args.running.variance = nullptr; }, "running.variance", "null"},
                     {[](C& c) { c.args.running.update.batch_weight = 2; }, "running.update.batch_weight", "2"},
                     {[](C& c) { c.args.scale = c.args.shift; }, "shift", "at scale"},
                     {[](C& c) { c.args.mean = reinterpret_cast<float*>(c.moments.mean); }, "mean", "at moments.mean"},
                     {[](C& c) { c.args.variance = const_cast<float*>(c.args.gamma); }, "variance", "at gamma"},
                     {[](C& c) { c.args.shift = const_cast<float*>(c.args.beta); }, "shift", "at beta"},
                     {[](C& c) { c.args.running.mean = c.args.mean; }, "running.mean", "at mean"}});
  EXPECT_EQ(message_of([&] { s.object.finalise(legal.args); }), "moments must not be null, was null");
  FinaliseCall only_statistics{{}, legal.moments};
  only_statistics.args.mean = legal.args.mean;
  EXPECT_NO_THROW(finalise(only_statistics));
  EXPECT_NO_THROW(finalise({{}, legal.moments}));
}

struct SumsCall {
  GradientSumsArgs args;
  GradientSums sums;
};

TEST(PhaseValidation, OfGradientSums) {
  Setting s(Layout::nxc);
  SumsCall legal;
  legal.sums = sums_in(s, 0);
  legal.args.x = s.tensor();
  legal.args.dy = s.tensor();
  legal.args.mean = s.array();
  legal.args.scratch = s.scratch();
  using C = SumsCall;
  expect_refused<C>(
      [&](const C& call) {
        GradientSums sums = call.sums;
        GradientSumsArgs args = call.args;
        args.sums = &sums;
        s.object.gradient_sums(args);
      },
      legal, s.arena,
      {{[](C& c) { c.args.x.data = nullptr; }, "x", "null"},
       {[](C& c) { c.args.dy.data = nullptr; }, "dy", "null"},
       {[](C& c) { c.args.mean = nullptr; }, "mean", "null"},
       {[](C& c) { c.args.dy.strides.channel = 5; }, "dy.strides.channel", "5"},
       {[](C& c) { c.sums.dy = nullptr; }, "sums.dy", "null"},
       {[](C& c) { c.sums.dy_x = nullptr; }, "sums.dy_x", "null"},
       {[](C& c) { c.sums.x = nullptr; }, "sums.x", "null"},
       {[](C& c) { c.sums.x = c.sums.dy; }, "sums.x", "at sums.dy"},
       {[](C& c) { c.sums.x = reinterpret_cast<double*>(const_cast<float*>(c.args.mean)); }, "sums.x", "at mean"},
       {[](C& c) { c.args.scratch.data = floats(c.args.dy); }, "scratch.data", "at dy"},
       {[](C& c) { c.args.scratch.bytes = 3; }, "scratch.bytes", "3"}});
  EXPECT_EQ(message_of([&] { s.object.gradient_sums(legal.args); }), "sums must not be null, was null");
}

struct SumsPair {
  GradientSums into;
  GradientSums from;
};

TEST(PhaseValidation, OfMergingGradientSums) {
  Setting s(Layout::ncx);
  const SumsPair legal{sums_in(s, 3), sums_in(s, 4)};
  using C = SumsPair;
  const auto merge = [&](const C& pair) {
    GradientSums into = pair.into;
    s.object.merge(into, pair.from);
    EXPECT_EQ(into.count, pair.into.count + pair.from.count);
  };
  expect_refused<C>(merge, legal, s.arena,
                    {{[](C& c) { c.into.count = -1; }, "into.count", "-1"},
                     {[](C& c) { c.from.count = -2; }, "from.count", "-2"},
                     {[](C& c) { c.from.count = max_int64; }, "from.count", "9223372036854775807"},
                     {[](C& c) { c.into.dy = nullptr; }, "into.dy", "null"},
                     {[](C& c) { c.into.dy_x = nullptr; }, "into.dy_x", "null"},
                     {[](C& c) { c.into.x = nullptr; }, "into.x", "null"},
                     {[](C& c) { c.from.dy = nullptr; }, "from.dy", "null"},
                     {[](C& c) { c.from.dy_x = nullptr; }, "from.dy_x", "null"},
                     {[](C& c) { c.from.x = nullptr; }, "from.x", "null"},
                     {[](C& c) { c.into.x = c.from.dy; }, "into.x", "at from.dy"},
                     {[](C& c) { c.into.dy_x = c.into.dy; }, "into.dy_x", "at into.dy"}});
  EXPECT_NO_THROW(merge({legal.into, {}}));
}

struct FinaliseGradientCall {
  FinaliseGradientArgs args;
  GradientSums sums;
};

TEST(PhaseValidation, OfFinalisingGradientSums) {
  Setting s(Layout::ncx);
  FinaliseGradientCall legal;
  legal.sums = sums_in(s, 4);
  legal.args.gamma = s.array();
  legal.args.variance = s.array();
  legal.args.dgamma = s.array();
  legal.args.dbeta = s.array();
  legal.args.a = s.array();
  legal.args.b = s.array();
  legal.args.c = s.array();
  using C = FinaliseGradientCall;
  const auto finalise = [&](const C& call) {
    FinaliseGradientArgs args = call.args;
    args.sums = &call.sums;
    s.object.finalise(args);
  };
  expect_refused<C>(finalise, legal, s.arena,
                    {{[](C& c) { c.args.statistics = static_cast<Statistics>(-1); }, "statistics", "-1"},
                     {[](C& c) { c.sums.count = -4; }, "sums.count", "-4"},
                     {[](C& c) { c.sums.dy = nullptr; }, "sums.dy", "null"},
                     {[](C& c) { c.sums.dy_x = nullptr; }, "sums.dy_x", "null"},
                     {[](C& c) { c.sums.x = nullptr; }, "sums.x", "null"},
                     {[](C& c) { c.args.variance = nullptr; }, "variance", "null"},
                     {[](C& c) { c.args.a = nullptr; }, "a", "null"},
                     {[](C& c) { c.args.b = nullptr; }, "b", "null"},
                     {[](C& c) { c.args.c = nullptr; }, "c", "null"},
                     {[](C& c) { c.args.dgamma = c.args.dbeta; }, "dbeta", "at dgamma"},
                     {[](C& c) { c.args.dgamma = const_cast<float*>(c.args.gamma); }, "dgamma", "at gamma"},
                     {[](C& c) { c.args.b = c.args.a + 1; }, "b", "4 bytes after a"},
                     {[](C& c) { c.args.c = const_cast<float*>(c.args.variance); }, "c", "at variance"}});
  EXPECT_EQ(message_of([&] { s.object.finalise(legal.args); }), "sums must not be null, was null");
  FinaliseGradientCall empty = legal;
  empty.sums = {};
  EXPECT_NO_THROW(finalise(empty));
}

TEST(PhaseValidation, OfGradientApply) {
  Setting s(Layout::ncx);
  GradientApply legal;
  legal.x = s.tensor();
  legal.dy = s.tensor();
  legal.dx = s.tensor();
  legal.mean = s.array();
  legal.a = s.array();
  legal.b = s.array();
  legal.c = s.array();
  using A = GradientApply;
  const auto apply = [&](const A& args) { s.object.gradient_apply(args); };
  expect_refused<A>(apply, legal, s.arena,
                    {{[](A& a) { a.x.data = nullptr; }, "x", "null"},
                     {[](A& a) { a.dy.data = nullptr; }, "dy", "null"},
                     {[](A& a) { a.dx.data = nullptr; }, "dx", "null"},
                     {[](A& a) { a.mean = nullptr; }, "mean", "null"},
                     {[](A& a) { a.a = nullptr; }, "a", "null"},
                     {[](A& a) { a.c = nullptr; }, "c", "null"},
                     {[](A& a) { a.b = nullptr; }, "x", "not null"},
                     {[](A& a) { a.dx.strides.channel = 5; }, "dx.strides.channel", "5"},
                     {[](A& a) { a.dx.strides.position = 1; }, "dx.strides.position", "1"},
                     {[](A& a) { a.mean = floats(a.dx) + 1; }, "dx", "4 bytes before mean"},
                     {[](A& a) { a.a = floats(a.dx); }, "dx", "at a"},
                     {[](A& a) { a.b = floats(a.dx); }, "dx", "at b"},
                     {[](A& a) { a.c = floats(a.dx); }, "dx", "at c"}});
  GradientApply scaling;
  scaling.dy = legal.dy;
  scaling.dx = legal.dx;
  scaling.a = legal.a;
  expect_refused<A>(
      apply, scaling, s.arena,
      {{[&](A& a) { a.mean = legal.mean; }, "mean", "not null"}, {[&](A& a) { a.c = legal.c; }, "c", "not null"}});
  scaling.dx = floats(scaling.dy);
  EXPECT_NO_THROW(apply(scaling));
  legal.dx = floats(legal.x);
  EXPECT_NO_THROW(apply(legal));
}

}  // namespace
}  // namespace xbn
