#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/config.h"
#include "core/device.h"
#include "core/models/student.h"
#include "core/sample_store.h"

namespace distill {

// Averages over one pass of the pictures.
struct Metrics {
  double loss = 0;
  double accuracy = 0;  // 0..1
};

// Where the time of a training's steps goes, summed over an epoch. On a GPU, whose work is only
// queued by most of these, what waits for it bears it.
struct PhaseSeconds {
  double gather = 0, forward = 0, loss = 0, backward = 0, optimizer = 0;
};

struct EpochReport {
  int64_t epoch = 0;                // from 1
  Metrics train;                    // the distillation loss, dropout on
  Metrics val;                      // plain cross entropy
  std::vector<double> step_losses;  // of each training batch, in order
  double train_seconds = 0, val_seconds = 0;
  PhaseSeconds phases;  // of train_seconds
  bool saved = false;   // the student of this epoch is now in the file
};

enum class Ending { completed, early_stop, stopped };

struct TrainResult {
  Ending ending = Ending::completed;
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

// Distils the teacher's logits in the store into a student and keeps the best one in
// config.student_path. Throws ERR_NOT_FINITE where the loss is no longer a number, and what reading
// the initial student and writing the file throw.
TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, const Compute& compute, RunControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch);

}  // namespace distill
