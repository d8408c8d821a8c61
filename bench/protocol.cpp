#include "protocol.hpp"

namespace bench {

nlohmann::json to_json(const Case& test_case) {
  return {{"problem", descriptor(test_case.shape)},
          {"name", test_case.shape.name},
          {"dir", name(test_case.direction)},
          {"dt", text(test_case.types)},
          {"tag", name(test_case.tag)},
          {"flags", text(test_case.flags)},
          {"attr-post-ops", text(test_case.post_op)}};
}

Case case_from_json(const nlohmann::json& json) {
  const auto member = [&](const char* key) { return json.at(key).get<std::string>(); };
  Case test_case;
  test_case.shape = parse_problem("problem", member("problem"));
  test_case.shape.name = member("name");
  test_case.direction = parse_directions("dir", member("dir")).front();
  test_case.tag = parse_tags("tag", member("tag")).front();
  test_case.flags = parse_flags("flags", member("flags")).front();
  test_case.types = parse_data_types("dt", member("dt")).front();
  test_case.post_op = parse_post_ops("attr-post-ops", member("attr-post-ops")).front();
  return test_case;
}

}  // namespace bench
