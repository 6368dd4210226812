#pragma once

#include <chrono>
#include <cstdint>

namespace distill {

using Clock = std::chrono::steady_clock;

// How many threads this process may compute on at once, of those that it would like to: fewer where
// others compete with them for the processors. Now and then one more is tried.
int allowed_threads(int wanted, Clock::time_point now);

// Measures how much of the time in which a thread wants to run it does not get to, because others
// do. Where that is much, and they are not this process's own, fewer threads are allowed.
class Contention {
 public:
  // Called again and again by a thread that is awake and computes with others on so many threads.
  void measure(int threads, Clock::time_point now);
  // The thread is about to sleep, or has slept by its own will.
  void stop() { is_running_ = false; }

 private:
  struct Usage {
    std::chrono::nanoseconds thread, process;  // on processors
    int64_t sleeps;
  };
  static Usage usage();

  bool is_running_ = false;
  Clock::time_point since_;
  Usage before_;
};

}  // namespace distill
