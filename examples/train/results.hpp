#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace train {

/// Writes results.json into a folder so that at any moment the file is either the one before or this one.
void write_results(const std::filesystem::path& folder, const nlohmann::json& results);

/// The processor's name, where the system tells it.
std::string processor();

}  // namespace train
