#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "core/models/network.h"
#include "core/training/best_network.h"
#include "core/training/config.h"
#include "core/training/monitor.h"
#include "core/training/report.h"
#include "core/training/result.h"
#include "core/training/state.h"
#include "core/training/state_keeper.h"

namespace distill {

// The course of a training: the epochs that have ended, the files that they left, and whether it is
// over.
class TrainingRecord {
 public:
  // Both must outlive it; `network` is read whenever it is saved.
  TrainingRecord(const TrainConfig& config, const Network& network);

  // Takes the network that the training starts from as the best so far.
  void start_from(const EpochReport& report);
  // Goes on behind the epochs of a state. Throws ERR_STATE where that is another run's.
  void resume(const TrainingState& state);
  // Adds an epoch, and saves the network where it is the best so far, which the report then says.
  void add(EpochReport& report);

  // True where the training's state is kept at all, and where it should be kept again.
  bool is_kept() const { return !config_.keep.state.empty(); }
  bool is_due() const { return keeper_.is_due(); }
  // Keeps the training's state; behind an epoch, with the network as it left it.
  void keep(TrainingState state);
  void keep_epoch(TrainingState state);

  bool is_time_up() const;
  // The reason why no epoch should follow, if there is one.
  std::optional<StopReason> reason_to_stop() const;
  // What came of the training, once all files are written. Throws what that threw.
  TrainResult result(StopReason reason);

 private:
  double seconds() const;
  void see(const EpochReport& report);
  void complete(TrainingState& state) const;

  const TrainConfig& config_;
  const Network& network_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::vector<EpochReport> reports_;  // without their steps' losses
  std::optional<EpochReport> last_;
  BestNetwork best_;
  KeptBy kept_by_;
  Patience patience_;
  StateKeeper keeper_;
};

}  // namespace distill
