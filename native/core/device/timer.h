#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <chrono>
#include <vector>

namespace distill {

// Measures a device's work between points that are marked in it. A GPU, whose work goes on while
// the host does other things, measures by its own clock, so that the host need not wait.
class DeviceTimer {
 public:
  explicit DeviceTimer(at::Device device) : device_(device) {}

  // Marks the point after the work that has been queued.
  void mark();
  // Seconds between two marks, counted from 0. The device must have passed both.
  double seconds(size_t from, size_t to) const;

 private:
  at::Device device_;
  std::vector<std::chrono::steady_clock::time_point> times_;  // on the CPU
  std::vector<c10::Event> events_;                            // elsewhere
};

// Measures the host's time from lap to lap.
class Stopwatch {
 public:
  // Begins a lap.
  void start() { last_ = Clock::now(); }
  // Adds the seconds of this lap to a sum, and begins the next one.
  void lap(double& sum) {
    const auto now = Clock::now();
    sum += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
};

}  // namespace distill
