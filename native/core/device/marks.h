#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <chrono>
#include <vector>

namespace distill {

// Points in a device's work and the seconds between them. A GPU, which works behind the host's
// back, tells them by its own clock, so that nobody has to wait for it.
class Marks {
 public:
  explicit Marks(at::Device device) : device_(device) {}

  void mark();
  // Once the device has come so far.
  double seconds(size_t from, size_t to) const;

 private:
  at::Device device_;
  std::vector<std::chrono::steady_clock::time_point> times_;  // on the CPU
  std::vector<c10::Event> events_;                            // elsewhere
};

}  // namespace distill
