#include "core/parallel/thread_limits.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace distill {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::string line;
  std::getline(std::ifstream(file), line);
  return line;
}

// The smallest pids.max of the groups that this process is in; empty where there is none. Groups
// lie below where the container, or the system, sees the first of them.
std::string container_limit() {
  std::string smallest;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "pids") continue;
    const std::filesystem::path top =
        controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
    auto group = std::filesystem::path(line.substr(second + 1)).relative_path();
    while (true) {
      const std::string limit = first_line(top / group / "pids.max");
      const bool is_number = !limit.empty() && limit != "max";
      if (is_number && (smallest.empty() || std::stoull(limit) < std::stoull(smallest))) {
        smallest = limit;
      }
      if (group.empty()) break;
      group = group.parent_path();
    }
  }
  return smallest;
}

}  // namespace

Error no_more_threads() {
  rlimit limit{};
  const bool is_limited = getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  std::string container;
  try {
    container = container_limit();
  } catch (const std::exception&) {
    // What cannot be read is not named.
  }
  return {"ERR_THREADS",
          "the system makes no more threads: raise the limit of the user's processes (ulimit -u, " +
              (is_limited ? std::to_string(limit.rlim_cur) : "unlimited") +
              ") or of the container's (pids.max" + (container.empty() ? "" : ", " + container) +
              "), lower threads, or have fewer models open at a time"};
}

}  // namespace distill
