#include "lists.hpp"

namespace bench {

std::vector<Item> split(std::string_view list, char separator) {
  std::vector<Item> items;
  for (std::size_t position = 0;;) {
    const std::size_t end = std::min(list.find(separator, position), list.size());
    items.push_back({list.substr(position, end - position), position});
    if (end == list.size()) return items;
    position = end + 1;
  }
}

std::size_t parse_name(std::string_view origin, std::string_view list, const Item& item,
                       std::span<const std::string_view> names) {
  const auto match = std::find(names.begin(), names.end(), item.text);
  if (match != names.end()) return static_cast<std::size_t>(match - names.begin());
  std::string choice(names.front());
  for (const std::string_view other : names.subspan(1)) choice += ", " + std::string(other);
  throw ParseError(
      origin, list, item.position,
      "must be " + (names.size() > 1 ? "one of " : std::string()) + choice + "; was \"" + std::string(item.text) + '"');
}

}  // namespace bench
