#include "core/parallel/processors.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace distill {
namespace {

namespace fs = std::filesystem;

using Limit = std::optional<double>;

Limit smaller(const Limit& one, const Limit& other) {
  return one && other ? std::min(*one, *other) : one ? one : other;
}

// Version 2 writes "max 100000" or "50000 100000": microseconds of each so many.
Limit read_v2(const fs::path& group) {
  std::string quota;
  double period = 0;
  std::ifstream file(group / "cpu.max");
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return std::nullopt;
  return std::strtod(quota.c_str(), nullptr) / period;
}

// Version 1 has a file for each; a quota of -1 is none.
Limit read_v1(const fs::path& group) {
  double quota = 0, period = 0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

// The least of a group's limit and of those around it. In a container the path may be the host's,
// of which the container sees the last group alone, as the root.
Limit least(const fs::path& root, const fs::path& path, Limit (*read)(const fs::path&)) {
  Limit limit = read(root);
  fs::path group = root;
  for (const fs::path& name : path.relative_path()) {
    if (name.empty() || name == "..") break;
    group /= name;
    limit = smaller(limit, read(group));
  }
  return limit;
}

}  // namespace

Limit allowed_processors(const fs::path& process, const fs::path& groups) {
  Limit limit;
  std::ifstream file(process / "cgroup");
  for (std::string line; std::getline(file, line);) {
    // 0::/path, or 4:cpu,cpuacct:/path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      limit = smaller(limit, least(groups, path, read_v2));
      limit = smaller(limit, least(groups / "unified", path, read_v2));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      limit = smaller(limit, least(groups / "cpu", path, read_v1));
      limit = smaller(limit, least(groups / controllers, path, read_v1));
    }
  }
  return limit;
}

}  // namespace distill
