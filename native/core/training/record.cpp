#include "core/training/record.h"

#include <utility>

#include "core/error.h"

namespace distill {

TrainingRecord::TrainingRecord(const TrainConfig& config, const Network& network)
    : config_(config),
      network_(network),
      best_(config, network),
      patience_(config.patience, config.min_delta, config.monitor),
      keeper_(config.keep) {}

void TrainingRecord::start_from(const EpochReport& report) {
  best_.start_from(report);
  see(report);
}

void TrainingRecord::resume(const TrainingState& state) {
  if (state.fingerprint != config_.keep.fingerprint) {
    throw Error("ERR_STATE", "'" + config_.keep.state +
                                 "' is the state of a run with other options or pictures; start "
                                 "the run anew");
  }
  for (const EpochReport& report : state.reports) {
    best_.recall(report);
    see(report);
  }
}

void TrainingRecord::add(EpochReport& report) {
  best_.offer(report);
  see(report);
}

void TrainingRecord::see(const EpochReport& report) {
  kept_by_.see(report);
  patience_.see(report);
  if (report.epoch > 0) last_ = report;
  reports_.push_back(report);
  reports_.back().step_losses.clear();
}

void TrainingRecord::keep(TrainingState state) {
  complete(state);
  keeper_.keep(state);
}

void TrainingRecord::keep_epoch(TrainingState state) {
  complete(state);
  keeper_.keep(state, trained_contents(network_, format_of(config_.keep.last), config_.metadata,
                                       reports_.back()));
}

void TrainingRecord::complete(TrainingState& state) const {
  state.fingerprint = config_.keep.fingerprint;
  state.reports = reports_;
  state.seconds = seconds();
}

double TrainingRecord::seconds() const {
  const auto here = std::chrono::steady_clock::now() - began_;
  return config_.elapsed + std::chrono::duration<double>(here).count();
}

bool TrainingRecord::is_time_up() const {
  return config_.max_seconds && seconds() >= *config_.max_seconds;
}

std::optional<StopReason> TrainingRecord::reason_to_stop() const {
  if (!last_) return std::nullopt;
  if (config_.early_stop && leaves_nothing(Scores(*last_))) return StopReason::early_stop;
  if (patience_.is_over()) return StopReason::patience;
  return std::nullopt;
}

TrainResult TrainingRecord::result(StopReason reason) {
  keeper_.finish();
  return {reason, best_.report(), last_, kept_by_};
}

}  // namespace distill
