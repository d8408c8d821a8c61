#pragma once

/// Values of knobs that are comma-separated lists.

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "problem.hpp"

namespace bench {

struct Item {
  std::string_view text;
  std::size_t position;  ///< in the list
};

/// A separator at the end is followed by an empty item; an empty text is one.
std::vector<Item> split(std::string_view list, char separator = ',');

/// The index of the item among `names`. Throws ParseError.
std::size_t parse_name(std::string_view origin, std::string_view list, const Item& item,
                       std::span<const std::string_view> names);

template <class T>
void add_once(std::vector<T>& values, const T& value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

}  // namespace bench
