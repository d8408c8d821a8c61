// g. One trained network, deployed in several forms: accuracy and time of each.

#include <algorithm>
#include <chrono>
#include <iterator>

#include "experiments/forms.hpp"
#include "interrupt.hpp"
#include "network/folded.hpp"
#include "network/loss.hpp"

namespace train {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The median time that each form takes for these samples, the forms taking turns.
std::vector<double> seconds_of(const std::vector<Form>& forms, const Values& x, std::int64_t batch, int repetitions) {
  std::vector<std::vector<double>> seconds(forms.size());
  for (int i = 0; i < repetitions; ++i) {
    throw_if_interrupted();
    for (std::size_t form = 0; form < forms.size(); ++form) {
      const auto start = std::chrono::steady_clock::now();
      forms[form].logits(x, batch);
      seconds[form].push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  std::vector<double> medians;
  std::transform(seconds.begin(), seconds.end(), std::back_inserter(medians), median);
  return medians;
}

}  // namespace

json deployment(const Context& context) {
  constexpr std::int64_t width = 128;
  constexpr int depth = 3;
  FullyConnected network(context.network(depth, width));
  Training training;
  training.steps = context.choose(100, 400);
  training.optimizer = "adam";
  training.rate = 0.003;
  training.seed = context.seed + 1;
  train_network(network, context.normalised, training);
  context.progress->advance(0.5);

  const Dataset& test = context.normalised.test;
  FoldedNetwork folded(network);
  std::vector<Form> forms{
      {"full, f32",
       [&](const Values& x, std::int64_t batch) -> const Values& {
         return network.forward(x, batch, Mode::inference);
       }},
      {"folded, f32", [&](const Values& x, std::int64_t batch) -> const Values& { return folded.forward(x, batch); }},
  };
  json left_out = json::array();
  for (Form& form : narrow_forms(network, context.normalised.train)) {
    if (form.left_out.empty()) {
      forms.push_back(std::move(form));
    } else {
      left_out.push_back({{"name", form.name}, {"reason", form.left_out}});
    }
  }
  json result{{"left_out", left_out}, {"depth", depth}, {"width", width}, {"samples", test.samples()}};
  const Values reference = forms.front().logits(test.x, test.samples());
  const std::vector<int> wanted = predictions(reference, test.labels.size());
  const Values one_sample(test.x.begin(), test.x.begin() + test.features);
  const std::vector<double> of_all = seconds_of(forms, test.x, test.samples(), context.choose(50, 500));
  const std::vector<double> of_one = seconds_of(forms, one_sample, 1, context.choose(500, 5000));
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const Values logits = forms[i].logits(test.x, test.samples());
    const std::vector<int> predicted = predictions(logits, test.labels.size());
    result["forms"].push_back(
        {{"name", forms[i].name},
         {"accuracy", accuracy(predicted, test.labels)},
         {"predictions_changed", 1.0 - accuracy(predicted, wanted)},
         {"difference_of_logits", relative_difference(logits, reference)},
         {"times",
          {{"microseconds_a_sample_of_all", 1e6 * of_all[i] / static_cast<double>(test.samples())},
           {"microseconds_of_one_sample", 1e6 * of_one[i]}}}});
  }
  return result;
}

}  // namespace train
