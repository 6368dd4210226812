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
  // Called again and again by a thread that computes with others on so many threads.
  void measure(int threads, Clock::time_point now);
  // The thread is about to sleep, by its own will: that time does not count.
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
