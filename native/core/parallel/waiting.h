#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "core/parallel/contention.h"

namespace distill {

// How threads that compute together wait for each other.
//
// A wait that ends within microseconds is best spun through: putting a thread to sleep and waking
// it takes longer. But a thread that spins where others compete for the processor takes time from
// the very thread that it waits for; there, it soon sleeps.
class Waiting {
 public:
  // Waits until ready(), which must be true once somebody has called `ring` after a change that it
  // looks at. The thread is one of so many that compute together. Where `most` is given, a sleep
  // ends after that time, too; returns whether it is ready.
  template <typename Ready>
  bool until(const Ready& ready, int threads, Contention& contention,
             std::chrono::nanoseconds most = {});

  // Wakes those that sleep. To be called after the change that they wait for.
  void ring() {
    // Whoever is not seen here yet will see the change before it sleeps.
    if (sleepers_.load() > 0) wake();
  }

 private:
  void sleep(uint32_t heard, std::chrono::nanoseconds most);
  void wake();

  std::atomic<uint32_t> rings_ = 0;  // what sleeping threads watch
  std::atomic<int> sleepers_ = 0;
};

// Lets the other thread of this core run, where it has one, for some cycles.
inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until ready(), for as long as it pays. Returns whether it is.
template <typename Ready>
bool spin_until(const Ready& ready, int threads, Contention& contention) {
  using namespace std::chrono_literals;
  constexpr int pauses_a_look = 16;  // at the clock
  const auto start = Clock::now();
  const auto patience = allowed_threads(threads, start) < threads ? 20us : 2000us;
  for (auto now = start; now - start < patience; now = Clock::now()) {
    contention.measure(threads, now);
    for (int i = 0; i < pauses_a_look; ++i) {
      if (ready()) return true;
      pause_briefly();
    }
  }
  return false;
}

template <typename Ready>
bool Waiting::until(const Ready& ready, int threads, Contention& contention,
                    std::chrono::nanoseconds most) {
  if (ready() || spin_until(ready, threads, contention)) return true;
  contention.stop(Clock::now());
  sleepers_.fetch_add(1);
  uint32_t heard = rings_.load();
  while (!ready()) {
    sleep(heard, most);
    if (most.count() > 0) break;
    heard = rings_.load();
  }
  sleepers_.fetch_sub(1);
  return ready();
}

}  // namespace distill
