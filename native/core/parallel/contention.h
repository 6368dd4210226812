#pragma once

#include <chrono>
#include <cstdint>

namespace distill {

using Clock = std::chrono::steady_clock;

// Returns how many of the wanted threads this process should compute on at once: fewer while other
// programs compete for the processors. Now and then one more is tried.
int allowed_threads(int wanted, Clock::time_point now);

// Measures the share of time in which a thread could run but other threads have its processor. If
// that is much, and they are not this process's own, fewer threads are allowed.
class Contention {
 public:
  // Samples the clocks; a thread that computes on `threads` threads calls it again and again.
  void measure(int threads, Clock::time_point now);
  // Stops measuring: the thread is about to sleep of its own accord.
  void stop(Clock::time_point now);

 private:
  struct Usage {
    std::chrono::nanoseconds time{}, thread{}, process{};  // passed, and on processors
    int64_t sleeps = 0;
  };
  static Usage usage(Clock::time_point now);
  void add(Clock::time_point now);

  bool is_running_ = false;
  bool was_kept_ = false;  // from running, in the measurement before
  Usage last_;             // when it was looked at
  Usage total_;            // of the measurement
};

}  // namespace distill
