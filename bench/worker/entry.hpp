#pragma once

/// Contenders of programs that compare xbn with itself: checked when they are made, and then timed side by side.

#include <memory>
#include <vector>

#include "median.hpp"
#include "prepared_data.hpp"
#include "xbn_contender.hpp"

namespace bench {

/// Seconds, or ratios of them, a repetition each.
using Times = std::vector<double>;

/// Repetition by repetition.
Times ratios(const Times& of, const Times& by);

/// One contender on tensors that are filled for it.
struct Entry {
  Case test_case;
  std::unique_ptr<Contender> contender;
};

/// Throws std::runtime_error that begins with `what` where a result of the entry is beyond its bound.
void check(const PreparedData& data, const Entry& entry, const Tensors& tensors, const char* what);

/// A contender of a kind on data that is prepared for its case, checked. What `more` holds its constructor takes after
/// the case and the tensors.
template <class MadeOf, class... More>
Entry entry(PreparedData& data, const Case& test_case, const char* what, const More&... more) {
  const Tensors tensors = data.prepare(test_case, Data::exact);
  Entry made{test_case, std::make_unique<MadeOf>(test_case, tensors, more...)};
  check(data, made, tensors, what);
  return made;
}

}  // namespace bench
