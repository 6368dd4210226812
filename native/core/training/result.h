#pragma once

#include <optional>

#include "core/training/monitor.h"
#include "core/training/report.h"

namespace distill {

// What came of a training.
struct TrainResult {
  StopReason stop_reason = StopReason::completed;
  std::optional<EpochReport> best;  // the epoch in the files
  std::optional<EpochReport> last;
  KeptBy kept_by;
};

}  // namespace distill
