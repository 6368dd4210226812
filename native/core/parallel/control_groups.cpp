#include "core/parallel/control_groups.h"

#include <fstream>

namespace distill {
namespace {

namespace fs = std::filesystem;

void append_path(std::vector<fs::path>& folders, const fs::path& root, const fs::path& path) {
  fs::path group = folders.emplace_back(root);
  for (const fs::path& name : path.relative_path()) {
    if (name.empty() || name == "..") break;
    folders.push_back(group /= name);
  }
}

}  // namespace

ControlGroups control_groups(const std::string& controller, const fs::path& process,
                             const fs::path& groups) {
  ControlGroups found;
  std::ifstream file(process / "cgroup");
  for (std::string line; std::getline(file, line);) {
    // 0::/path, or 4:cpu,cpuacct:/path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      append_path(found.v2, groups, path);
      append_path(found.v2, groups / "unified", path);
    } else if (("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
      append_path(found.v1, groups / controller, path);
      append_path(found.v1, groups / controllers, path);
    }
  }
  return found;
}

}  // namespace distill
