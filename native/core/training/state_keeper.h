#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/checkpoint/writer.h"
#include "core/training/config.h"
#include "core/training/state.h"

namespace distill {

// Keeps the states of a training in its files, one after another, on a thread of its own: steps do
// not wait for the disk.
class StateKeeper {
 public:
  // Without a file, nothing is ever due.
  explicit StateKeeper(const KeepConfig& config);
  // Waits for what is being written.
  ~StateKeeper();
  StateKeeper(const StateKeeper&) = delete;
  StateKeeper& operator=(const StateKeeper&) = delete;

  // True where the last state is older than config.every says.
  bool is_due() const;
  // Copies a state, and the network as it is, and has them written. Where the one before still
  // waits for that, this one takes its place. Throws what writing an earlier one threw.
  void keep(const TrainingState& state, const std::optional<CheckpointContents>& network = {});
  // Waits until all is written. Throws what that threw.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    TrainingState state;
    std::optional<CheckpointContents> network;
  };
  void loop() noexcept;
  void write(const Job& job) const;
  void throw_failure();

  const KeepConfig& config_;
  Clock::time_point last_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Job> waiting_;
  bool is_writing_ = false, is_ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // made for the first state
};

}  // namespace distill
