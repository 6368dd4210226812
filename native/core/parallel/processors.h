#pragma once

#include <filesystem>
#include <optional>

namespace distill {

// Returns the processor time that the control groups of this process allow it, in processors, such
// as 0.5; nothing if they do not limit it. Tests give other folders than Linux's.
std::optional<double> allowed_processors(const std::filesystem::path& process = "/proc/self",
                                         const std::filesystem::path& groups = "/sys/fs/cgroup");

}  // namespace distill
