#pragma once

#include <optional>
#include <string>

#include "core/models/network.h"
#include "core/training/config.h"
#include "core/training/monitor.h"
#include "core/training/report.h"

namespace distill {

// The contents of a network's file behind an epoch, with the run's metadata and that epoch's
// numbers.
CheckpointContents trained_contents(const Network& network, Format format,
                                    const JsonObject& metadata, const EpochReport& report);

// Keeps the best network of a training in its files.
class BestNetwork {
 public:
  // Both must outlive it; `network` is read whenever it is saved.
  BestNetwork(const TrainConfig& config, const Network& network)
      : config_(config), network_(network) {}

  // Makes the network that the training starts from the best so far. It goes to the files, unless
  // it was read from there.
  void start_from(const EpochReport& report);
  // Saves the network where this epoch's validation is better than all before it, and notes that in
  // the report.
  void offer(EpochReport& report);
  // Goes on behind an epoch, or a start, that was offered before the training was interrupted.
  void recall(const EpochReport& report);

  // The epoch whose network is in the files; none before an epoch was the best.
  const std::optional<EpochReport>& report() const { return report_; }

 private:
  void save(const std::string& path, const EpochReport& report) const;

  const TrainConfig& config_;
  const Network& network_;
  std::optional<Scores> best_;
  std::optional<EpochReport> report_;
};

}  // namespace distill
