#include "core/parallel/contention.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

namespace distill {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr nanoseconds window = 16ms;  // of a measurement: four of a slow system's ticks
constexpr double most_lost = 0.3;     // of it; what a collector or a report takes is less
constexpr double most_used = 0.8;     // of all processors, by a process that others leave alone
// Time for the system to give a woken thread a processor of its own.
constexpr nanoseconds settling = 16ms;
// Time within which one thread too many shows, if others compete all the time.
constexpr nanoseconds trial = 150ms;
// Time before one more thread is tried; it grows with each trial that fails.
constexpr nanoseconds shortest_pause = 50ms, longest_pause = 1s;

// The allowance of the whole process.
struct Allowance {
  std::atomic<int> threads = std::numeric_limits<int>::max();
  std::atomic<Clock::rep> changed = 0, until = 0;  // when more are tried
  std::mutex mutex;
  nanoseconds pause = shortest_pause;
};
Allowance& allowance() {
  static auto* const allowance = new Allowance;
  return *allowance;
}

int step_from(int threads) {
  return std::max(1, threads / 8);
}

// Sets the allowance; the caller holds the mutex.
void change(int threads, Clock::time_point now) {
  allowance().threads = threads;
  allowance().changed = now.time_since_epoch().count();
  allowance().until = (now + allowance().pause).time_since_epoch().count();
}

void lower(int threads, Clock::time_point now) {
  Allowance& all = allowance();
  const std::lock_guard lock(all.mutex);
  if (all.threads < threads) return;  // somebody else was faster
  const bool is_again = now - Clock::time_point(Clock::duration(all.changed.load())) < trial;
  all.pause = is_again ? std::min(2 * all.pause, longest_pause) : shortest_pause;
  change(std::max(1, threads - step_from(threads)), now);
}

}  // namespace

int allowed_threads(int wanted, Clock::time_point now) {
  Allowance& all = allowance();
  const int threads = all.threads.load(std::memory_order_relaxed);
  if (threads >= wanted) return wanted;
  if (now.time_since_epoch().count() < all.until.load(std::memory_order_relaxed)) return threads;
  const std::lock_guard lock(all.mutex);
  change(threads + step_from(threads), now);
  return std::min(wanted, all.threads.load());
}

Contention::Usage Contention::usage(Clock::time_point now) {
  const auto on_processors = [](clockid_t clock) {
    timespec time = {};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
  };
  rusage usage = {};
  ::getrusage(RUSAGE_THREAD, &usage);  // its times are as old as the last tick
  return {now.time_since_epoch(), on_processors(CLOCK_THREAD_CPUTIME_ID),
          on_processors(CLOCK_PROCESS_CPUTIME_ID), usage.ru_nvcsw};
}

void Contention::add(Clock::time_point now) {
  const Usage before = std::exchange(last_, usage(now));
  // A sleep since the last sample, for a file or a task, took an unknown time.
  if (!is_running_ || last_.sleeps != before.sleeps) return;
  total_.time += last_.time - before.time;
  total_.thread += last_.thread - before.thread;
  total_.process += last_.process - before.process;
}

void Contention::stop(Clock::time_point now) {
  if (is_running_) add(now);
  is_running_ = false;
}

void Contention::measure(int threads, Clock::time_point now) {
  if (is_running_ && total_.time + (now.time_since_epoch() - last_.time) < window) return;
  add(now);
  is_running_ = true;
  if (total_.time < window) return;
  const Usage total = std::exchange(total_, Usage());
  if (now - Clock::time_point(Clock::duration(allowance().changed.load())) < settling + window)
    return;
  static const unsigned processors = std::thread::hardware_concurrency();
  const bool is_among_us = total.process > most_used * processors * total.time;
  const bool is_kept = total.time - total.thread > most_lost * total.time && !is_among_us;
  // Two samples in a row must agree, as the process's own threads come and go.
  if (std::exchange(was_kept_, is_kept) && is_kept) lower(threads, now);
}

}  // namespace distill
