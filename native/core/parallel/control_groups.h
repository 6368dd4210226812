#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace distill {

// Lists the folders of the control groups that hold a process and let `controller` ("cpu", "pids")
// limit it, from the outermost group inwards: of the unified hierarchy (version 2), where a group
// has no controller of its own, and of the controller's own one (version 1).
//
// In a container the path of a group may be the host's, of which the container sees the last group
// alone, as the root; so folders that do not exist may be among them. `process` and `groups` are
// the folders that Linux shows; tests give others.
struct ControlGroups {
  std::vector<std::filesystem::path> v1, v2;
};
ControlGroups control_groups(const std::string& controller,
                             const std::filesystem::path& process = "/proc/self",
                             const std::filesystem::path& groups = "/sys/fs/cgroup");

}  // namespace distill
