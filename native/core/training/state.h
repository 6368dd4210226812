#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/checkpoint/state_dict.h"
#include "core/training/report.h"

namespace distill {

// All that a training needs to go on as if it had never been interrupted, between two steps.
struct TrainingState {
  std::string fingerprint;                // of all that the training's numbers follow from
  int64_t epoch = 1;                      // the epoch under way
  int64_t step = 0;                       // its steps that are done
  double train_seconds = 0, seconds = 0;  // of this epoch, and of the whole run, so far
  StateDict network;                      // weights and running statistics
  std::vector<StateDict> optimizers;      // by parameter group
  at::Tensor generator;                   // (bytes) uint8: the state of the random numbers
  at::Tensor order;    // (n) int64: the epoch's pictures; undefined before they are drawn
  at::Tensor metrics;  // (step, 5) float64: EpochMetrics::rows()
  std::vector<EpochReport> reports;  // of all epochs that have ended, without their steps
};

// Copies of the tensors on the CPU, so that the training can go on while they are written.
StateDict snapshot(const StateDict& tensors);
TrainingState snapshot(const TrainingState& state);

// Replaces `path` by the state, as write_file_atomically does: safetensors, with the numbers in
// its metadata. Throws ERR_WRITE.
void write_state(const std::string& path, const TrainingState& state);

// Reads a state. Nothing in the file is trusted: throws what Checkpoint::open throws, and ERR_STATE
// where it holds anything but a state of this version. Whether its tensors are those of a training
// shows when they are taken over (take_over).
TrainingState read_state(const std::string& path);

// Copies tensors into those of the same names. Throws ERR_STATE where names, shapes or types
// differ; `what` names them.
void take_over(const StateDict& from, const StateDict& into, const std::string& what);

}  // namespace distill
