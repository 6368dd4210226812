#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/device/device.h"
#include "core/training/config.h"
#include "core/training/learner.h"
#include "core/training/tally.h"

namespace distill {

// Where the host's time in a training's steps goes, summed over an epoch. On a GPU, which works
// behind the host's back, that is what queueing takes; of a replayed step all of it is the
// optimizer's.
struct PhaseSeconds {
  double gather = 0, forward = 0, loss = 0, backward = 0, optimizer = 0;
};

struct EpochReport {
  int64_t epoch = 0;  // from 1; 0: what the training starts from, of which there is `val` alone
  Metrics train;      // the learner's own loss, in training mode
  Metrics val;        // plain cross entropy
  // The share of validation pictures for which teacher and network say the same class.
  std::optional<double> val_agreement;
  std::vector<double> step_losses;  // of each training batch, in order
  double train_seconds = 0, val_seconds = 0;
  PhaseSeconds phases;  // of train_seconds
  bool saved = false;   // the network of this epoch is the best so far, and what is in the file
};

enum class StopReason { completed, early_stop, stopped };

struct TrainResult {
  StopReason stop_reason = StopReason::completed;
  std::optional<EpochReport> best;  // the epoch in the file
  std::optional<EpochReport> last;
};

// What another thread may ask of a training and read of it.
struct RunControl {
  std::atomic<bool> stop = false;  // read between batches
  std::atomic<int64_t> epoch = 0;  // from 1
  std::atomic<int64_t> step = 0;   // batches of this epoch done, validation's included
  std::atomic<int64_t> steps = 0;  // of this epoch
};

// Shows a learner the store's pictures, epoch after epoch, and keeps the best network in
// config.path. `generator` has drawn its initial weights and draws on. With config.agreement the
// store holds the teacher's logits for the validation pictures, too. Throws ERR_NOT_FINITE where
// the loss is no longer a number, and what writing the file throws.
TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, Learner& learner, at::Generator generator,
                  const Compute& compute, RunControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch);

// How a teacher does by its logits in the store, those of all views, beside the most common class
// and its share of the pictures.
struct TeacherScores {
  Metrics metrics;
  int64_t commonest = 0;
  double share = 0;  // 0..1
};

TeacherScores validate_teacher(const Split& split);

}  // namespace distill
