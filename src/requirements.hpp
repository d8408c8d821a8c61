#pragma once

// Requirements that several kinds of call share.

#include <string>

#include "errors.hpp"
#include "xbn/batch_norm.hpp"

namespace xbn::internal {

inline void require_statistics(Statistics statistics) {
  if (statistics == Statistics::batch || statistics == Statistics::given) return;
  reject("statistics", "be batch or given", to_text(static_cast<std::int64_t>(statistics)));
}

inline void require_null(const char* name, const void* pointer, const char* condition) {
  if (pointer != nullptr) reject(name, std::string("be null where ") + condition, "not null");
}

}  // namespace xbn::internal
