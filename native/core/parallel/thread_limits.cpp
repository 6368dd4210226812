#include "core/parallel/thread_limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "core/parallel/control_groups.h"

namespace distill {
namespace {

// Returns the smallest pids.max of the groups that hold this process; nothing if there is none.
std::optional<uint64_t> container_limit() {
  const ControlGroups found = control_groups("pids");
  std::optional<uint64_t> least;
  for (const auto* groups : {&found.v1, &found.v2}) {
    for (const std::filesystem::path& group : *groups) {
      uint64_t limit = 0;  // "max" is no number
      if (std::ifstream(group / "pids.max") >> limit)
        least = std::min(least.value_or(limit), limit);
    }
  }
  return least;
}

}  // namespace

Error no_more_threads() {
  rlimit limit{};
  const bool is_limited = getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  const std::optional<uint64_t> container = container_limit();
  return {"ERR_THREADS",
          "the system makes no more threads: raise the limit of the user's processes (ulimit -u, " +
              (is_limited ? std::to_string(limit.rlim_cur) : "unlimited") +
              ") or of the container's (pids.max" +
              (container ? ", " + std::to_string(*container) : "") +
              "), lower threads, or have fewer models open at a time"};
}

}  // namespace distill
