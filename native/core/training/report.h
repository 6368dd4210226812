#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/names.h"
#include "core/training/metrics.h"

namespace distill {

// Seconds of the host in each phase of the training's steps, summed over an epoch. On a GPU, whose
// work goes on while the host does other things, they are what queueing takes; of a step that is
// replayed as a graph all of it counts as the optimizer's.
struct PhaseSeconds {
  double gather = 0, forward = 0, loss = 0, backward = 0, optimizer = 0;
};

struct EpochReport {
  int64_t epoch = 0;  // from 1; 0: the network that the training starts from, with `val` alone
  Metrics train;      // the training's own loss, in training mode
  Metrics val;        // plain cross entropy
  // The share of validation pictures for which teacher and network have the same most likely class.
  std::optional<double> val_agreement;
  // Of each training batch, in order; empty where the epoch was run before an interruption.
  std::vector<double> step_losses;
  double train_seconds = 0, val_seconds = 0;
  PhaseSeconds phases;  // of train_seconds
  bool saved = false;   // this epoch's network is the best so far, and in the files
};

// early_stop: nothing is left to learn; patience: no epoch was better for a while; max_seconds: the
// time is up.
enum class StopReason { completed, early_stop, patience, max_seconds, stopped };
inline constexpr Named<StopReason> stop_reasons[] = {{"completed", StopReason::completed},
                                                     {"early-stop", StopReason::early_stop},
                                                     {"patience", StopReason::patience},
                                                     {"max-seconds", StopReason::max_seconds},
                                                     {"stopped", StopReason::stopped}};

// Shared with other threads, which stop a training and read its progress.
struct TrainingControl {
  std::atomic<bool> stop = false;  // read between batches
  std::atomic<int64_t> epoch = 0;  // from 1
  std::atomic<int64_t> step = 0;   // batches of this epoch done, validation's included
  std::atomic<int64_t> steps = 0;  // of this epoch
};

}  // namespace distill
