#include "core/parallel/processors.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "core/parallel/control_groups.h"

namespace distill {
namespace {

namespace fs = std::filesystem;

using Limit = std::optional<double>;

// Version 2 writes "max 100000" or "50000 100000": the quota in each period, in microseconds.
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

}  // namespace

Limit allowed_processors(const fs::path& process, const fs::path& groups) {
  Limit least;
  const auto lower = [&](const Limit& limit) {
    if (limit) least = std::min(least.value_or(*limit), *limit);
  };
  const ControlGroups found = control_groups("cpu", process, groups);
  for (const fs::path& group : found.v2) lower(read_v2(group));
  for (const fs::path& group : found.v1) lower(read_v1(group));
  return least;
}

}  // namespace distill
