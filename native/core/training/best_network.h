#pragma once

#include <optional>

#include "core/models/network.h"
#include "core/training/config.h"
#include "core/training/report.h"

namespace distill {

// Compares a validation with the best one before it, if there is one. Returns true where it is
// better.
bool is_better(const Metrics& val, const std::optional<Metrics>& best, Keep keep);

// Returns true where a validation leaves nothing to learn: the reference stops early there.
bool leaves_nothing(const Metrics& val);

// Keeps the best network of a training in its file.
class BestNetwork {
 public:
  // Both must outlive it; `network` is read whenever it is saved.
  BestNetwork(const TrainConfig& config, const Network& network)
      : config_(config), network_(network) {}

  // Makes the network that the training starts from the best so far. It goes to the file, unless it
  // was read from there.
  void start_from(const EpochReport& report);
  // Saves the network where this epoch's validation is better than all before it, and notes that in
  // the report.
  void offer(EpochReport& report);

  // The epoch whose network is in the file; none before an epoch was the best.
  const std::optional<EpochReport>& report() const { return report_; }

 private:
  void save(const EpochReport& report) const;

  const TrainConfig& config_;
  const Network& network_;
  std::optional<Metrics> best_;
  std::optional<EpochReport> report_;
};

}  // namespace distill
