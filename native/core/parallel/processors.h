#pragma once

#include <filesystem>
#include <optional>

namespace distill {

// How many processors' time the control groups that hold this process allow it, which may be a part
// of one; none where they do not limit it. The folders are those that Linux shows; others are for
// tests.
std::optional<double> allowed_processors(const std::filesystem::path& process = "/proc/self",
                                         const std::filesystem::path& groups = "/sys/fs/cgroup");

}  // namespace distill
