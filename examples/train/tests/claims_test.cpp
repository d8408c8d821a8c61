// Runs the quick mode, twice, and checks in results.json what the figures claim. Skipped where there is no data.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using nlohmann::json;

json read(const std::filesystem::path& file) { return json::parse(std::ifstream(file)); }

std::string shell_quoted(const std::string& text) { return "'" + text + "'"; }

json run(const std::string& name, const std::string& options) {
  const std::filesystem::path folder = std::filesystem::path(XBN_TRAIN_RESULTS) / name;
  std::filesystem::remove_all(folder);
  const std::string command = shell_quoted(XBN_TRAIN_PROGRAM) + " --quick --seed 1 --data " +
                              shell_quoted(XBN_TRAIN_DATA) + " --out " + shell_quoted(folder.string()) + options;
  const int status = std::system(command.c_str());
  EXPECT_EQ(status, 0) << command;
  return status == 0 ? read(folder / "results.json") : json();
}

// Without every member "times".
json without_times(json value) {
  if (value.is_object()) value.erase("times");
  if (value.is_structured()) {
    for (json& member : value) member = without_times(std::move(member));
  }
  return value;
}

class Claims : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(XBN_TRAIN_DATA)) {
      GTEST_SKIP() << "there is no " << XBN_TRAIN_DATA << "; ./run test fetches it";
    }
    ASSERT_FALSE(results().is_null()) << "the run has failed";
  }

  // Not made in SetUpTestSuite: where that fails, tests count as skipped.
  static const json& results() {
    static const json first = run("first", " --jobs 2");
    return first;
  }
  static const json& experiment(const char* id) { return results().at("experiments").at(id); }
};

double number(const json& value) { return value.get<double>(); }

double final_accuracy(const json& run) {
  return run.at("diverged").get<bool>() ? 0.0 : number(run.at("history").at("accuracy").back());
}

double best_accuracy(const json& runs, const std::function<bool(const json&)>& wanted) {
  double best = 0;
  for (const json& run : runs) {
    if (wanted(run)) best = std::max(best, final_accuracy(run));
  }
  return best;
}

double largest(const json& values) {
  double result = 0;
  for (const json& value : values) result = std::max(result, number(value));
  return result;
}

constexpr double guessing = 0.1;

TEST_F(Claims, RunIsComplete) {
  EXPECT_TRUE(results().at("complete").get<bool>());
  EXPECT_EQ(results().at("experiments").size(), 8U);
}

TEST_F(Claims, DeepSigmoidNetworkLearnsWithBatchNormOnly) {
  int deepest = 0;
  const json& runs = experiment("a").at("runs");
  for (const json& run : runs) deepest = std::max(deepest, run.at("depth").get<int>());
  const auto deep_sigmoid = [&](bool batch_norm) {
    return best_accuracy(runs, [&](const json& run) {
      return run.at("activation") == "sigmoid" && run.at("depth") == deepest && run.at("batch_norm") == batch_norm;
    });
  };
  EXPECT_GE(deepest, 8);
  EXPECT_GT(deep_sigmoid(true), 0.9);
  EXPECT_LT(deep_sigmoid(false), 0.5);
}

TEST_F(Claims, MoreLearningRatesWorkWithBatchNorm) {
  const auto usable = [&](bool batch_norm) {
    const json& runs = experiment("a").at("runs");
    return std::count_if(runs.begin(), runs.end(), [&](const json& run) {
      return run.at("batch_norm") == batch_norm && final_accuracy(run) >= 0.9;
    });
  };
  EXPECT_GT(usable(true), usable(false));
}

TEST_F(Claims, EveryOptimizerTrainsTheDeepNetworkWithBatchNorm) {
  const json& runs = experiment("a").at("optimizers");
  for (const char* optimizer : {"gradient_descent", "momentum", "rmsprop", "adam"}) {
    const auto accuracy = [&](bool batch_norm) {
      return best_accuracy(runs, [&](const json& run) {
        return run.at("optimizer") == optimizer && run.at("batch_norm") == batch_norm;
      });
    };
    EXPECT_GT(accuracy(true), 0.85) << optimizer;
    EXPECT_LT(accuracy(false), 0.5) << optimizer;
  }
}

TEST_F(Claims, BatchNormLearnsFasterThanInputsOfEitherKind) {
  const json& best = experiment("b").at("best");
  const auto steps = [&](const char* variant) { return number(best.at(variant).at("steps_to_goal")); };
  EXPECT_LT(steps("batch_norm"), steps("normalised"));
  EXPECT_LT(steps("normalised"), steps("raw"));
}

TEST_F(Claims, HiddenDistributionsMoveLessWithBatchNorm) {
  const json& traces = experiment("c").at("traces");
  EXPECT_FALSE(traces[0].at("batch_norm").get<bool>());
  EXPECT_LT(number(traces[1].at("drift")), 0.5 * number(traces[0].at("drift")));
}

TEST_F(Claims, ReEstimatedStatisticsTakeTheShiftBack) {
  const json& changed = experiment("c").at("changed_inputs");
  const auto mean = [&](const char* series, std::size_t strength) {
    double sum = 0;
    for (const json& repetition : changed.at(series)) sum += number(repetition[strength]);
    return sum / static_cast<double>(changed.at(series).size());
  };
  const std::size_t middle = changed.at("strength").size() / 2;
  EXPECT_GT(mean("re_estimated", middle), mean("running", middle) + 0.05);
  EXPECT_GT(mean("re_estimated", middle), mean("without", middle) + 0.05);
  EXPECT_GT(mean("re_estimated", middle), mean("running", 0) - 0.05);
}

TEST_F(Claims, BiasBeforeBatchNormHasNoGradient) {
  const json& runs = experiment("d").at("bias_gradient");
  EXPECT_LT(largest(runs[1].at("ratio")), 1e-5);
  EXPECT_GT(largest(runs[0].at("ratio")), 1e-2);
}

TEST_F(Claims, ScaleOfWeightsDoesNotMatter) {
  const json& scaled = experiment("d").at("scaled");
  EXPECT_GT(largest(scaled[0].at("change")), 0.1);
  EXPECT_EQ(number(scaled[2].at("epsilon")), 0.0);
  EXPECT_LT(largest(scaled[2].at("change")), 1e-5);
  const json& usual = scaled[1];
  for (std::size_t i = 0; i < usual.at("scale").size(); ++i) {
    if (number(usual.at("scale")[i]) < 1) continue;
    EXPECT_LT(number(usual.at("change")[i]), 1e-3);
  }
  for (const json& product : scaled[2].at("gradient_times_scale")) EXPECT_NEAR(number(product), 1.0, 1e-4);
}

TEST_F(Claims, GammaAndBetaGiveRawValuesBack) {
  const json& identity = experiment("d").at("identity");
  EXPECT_LT(number(identity.at("largest_difference")), 1e-6 * number(identity.at("largest_value")));
  EXPECT_NE(identity.at("raw"), identity.at("normalised"));
}

TEST_F(Claims, NoiseFallsWithTheRootOfTheBatch) {
  for (const json& point : experiment("e").at("noise")) {
    const double batch = number(point.at("batch"));
    // A large part of the whole set is nearer to it than an independent sample.
    if (batch > 128) continue;
    EXPECT_NEAR(number(point.at("mean")) * std::sqrt(batch), 1.0, 0.2) << batch;
  }
}

TEST_F(Claims, BatchOfOneLearnsNothing) {
  const json& runs = experiment("e").at("runs");
  EXPECT_EQ(runs.front().at("batch"), 1);
  EXPECT_LT(number(runs.front().at("exact").back()), guessing + 0.15);
  EXPECT_GT(number(runs.back().at("running").back()), 0.9);
}

TEST_F(Claims, RunningAveragesApproachExactStatistics) {
  const json& lag = experiment("e").at("runs").back().at("lag");
  EXPECT_LT(number(lag.back()), 0.2 * number(lag.front()));
}

TEST_F(Claims, ConventionsForEpsilonDifferWhereChannelsHardlyVary) {
  for (const json& curve : experiment("f").at("gains")) {
    const double epsilon = number(curve.at("epsilon"));
    const double expected = curve.at("placement") == "inside" ? 1 / std::sqrt(epsilon) : 1 / epsilon;
    // At the smallest sigma, 1e-6, next to nothing is left of it beside the larger epsilon.
    if (epsilon >= 1e-4) {
      EXPECT_NEAR(number(curve.at("gain").front()) / expected, 1.0, 0.01);
    }
    EXPECT_NEAR(number(curve.at("gain").back()) * number(curve.at("sigma").back()), 1.0, 0.01);
  }
}

TEST_F(Claims, ConventionsForEpsilonAgreeWhereItIsSmall) {
  for (const json& run : experiment("f").at("runs")) {
    if (number(run.at("epsilon")) <= 1e-5) {
      EXPECT_LT(number(run.at("difference")), 1e-3);
      EXPECT_EQ(run.at("accuracy"), run.at("accuracy_with_other"));
      EXPECT_GT(number(run.at("accuracy")), 0.9);
    }
    EXPECT_LT(number(run.at("difference_translated")), 1e-5);
  }
}

TEST_F(Claims, FoldedNetworkPredictsTheSame) {
  const json& forms = experiment("g").at("forms");
  EXPECT_GT(number(forms[0].at("accuracy")), 0.9);
  EXPECT_EQ(forms[1].at("name"), "folded, f32");
  EXPECT_EQ(number(forms[1].at("predictions_changed")), 0.0);
  EXPECT_LT(number(forms[1].at("difference_of_logits")), 1e-5);
}

TEST_F(Claims, NarrowTypesPredictNearlyTheSame) {
  const json& forms = experiment("g").at("forms");
  EXPECT_EQ(forms.size() + experiment("g").at("left_out").size(), 4U);
  const double full = number(forms[0].at("accuracy"));
  for (std::size_t i = 2; i < forms.size(); ++i) {
    const bool bf16 = forms[i].at("name") == "bf16";
    EXPECT_GT(number(forms[i].at("accuracy")), full - 0.02) << forms[i];
    EXPECT_LT(number(forms[i].at("predictions_changed")), 0.03) << forms[i];
    EXPECT_LT(number(forms[i].at("difference_of_logits")), bf16 ? 0.01 : 0.1) << forms[i];
    EXPECT_GT(number(forms[i].at("difference_of_logits")), 1e-5) << "must be of narrow types; " << forms[i];
  }
}

TEST_F(Claims, BothLayoutsLearnTheSame) {
  const auto accuracy = [&](std::size_t layout) {
    const json& accuracies = experiment("h").at("runs")[layout].at("history").at("accuracy");
    double sum = 0;
    for (auto i = accuracies.end() - 5; i != accuracies.end(); ++i) sum += number(*i);
    return sum / 5;
  };
  EXPECT_GT(accuracy(0), 0.8);
  EXPECT_NEAR(accuracy(0), accuracy(1), 0.03);
  EXPECT_LT(number(experiment("h").at("largest_difference_of_first_logits")), 1e-4);
}

TEST_F(Claims, OneSeedGivesOneResult) { EXPECT_EQ(without_times(results()), without_times(run("again", " --jobs 1"))); }

}  // namespace
