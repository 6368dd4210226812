#include "core/training/state_keeper.h"

#include <utility>

namespace distill {

StateKeeper::StateKeeper(const KeepConfig& config) : config_(config) {}

StateKeeper::~StateKeeper() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool StateKeeper::is_due() const {
  return !config_.state.empty() &&
         std::chrono::duration<double>(Clock::now() - last_).count() >= config_.every;
}

void StateKeeper::keep(const TrainingState& state,
                       const std::optional<CheckpointContents>& network) {
  Job job{snapshot(state), network};
  if (job.network) job.network->state = snapshot(job.network->state);
  last_ = Clock::now();
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  const std::lock_guard lock(mutex_);
  throw_failure();
  // What the last epoch left is not lost with the state that had it.
  if (waiting_ && !job.network) job.network = std::move(waiting_->network);
  waiting_ = std::move(job);
  changed_.notify_all();
}

void StateKeeper::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !waiting_ && !is_writing_; });
  throw_failure();
}

void StateKeeper::throw_failure() {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void StateKeeper::loop() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return waiting_ || is_ending_; });
    if (!waiting_) return;
    const Job job = std::move(*waiting_);
    waiting_.reset();
    is_writing_ = true;
    lock.unlock();
    std::exception_ptr failure;
    try {
      write(job);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    is_writing_ = false;
    if (failure) failure_ = failure;
    changed_.notify_all();
  }
}

// The network first: the state says that it is there.
void StateKeeper::write(const Job& job) const {
  if (job.network) write_checkpoint(config_.last, format_of(config_.last), *job.network);
  write_state(config_.state, job.state);
}

}  // namespace distill
