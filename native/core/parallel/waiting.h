#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "core/parallel/contention.h"

namespace distill {

// Lets threads that compute together wait for each other.
//
// A wait of some microseconds is best spent spinning: putting a thread to sleep and waking it takes
// longer. But if others compete for the processor, a spinning thread takes time from the very
// thread that it waits for; then it soon sleeps.
class Waiting {
 public:
  // Waits until ready() returns true; whoever changes what it reads calls `ring` afterwards. The
  // caller is one of `threads` threads that compute together. With `most`, a sleep also ends after
  // that time. Returns the last result of ready().
  template <typename Ready>
  bool until(const Ready& ready, int threads, Contention& contention,
             std::chrono::nanoseconds most = {});

  // Wakes those that sleep. To be called after the change that they wait for.
  void ring() {
    // A waiter that does not count yet sees the change before it sleeps.
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

// Spins until ready(), for as long as that pays. Returns its last result.
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
