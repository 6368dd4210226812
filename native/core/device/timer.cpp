#include "core/device/timer.h"

#include "core/device/device.h"

namespace distill {

void DeviceTimer::mark() {
  if (device_.is_cpu()) {
    times_.push_back(std::chrono::steady_clock::now());
  } else {
    // The default of a backend, unlike PyTorch's own, is an event that records its time.
    events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    events_.back().record(current_stream(device_));
  }
}

double DeviceTimer::seconds(size_t from, size_t to) const {
  if (device_.is_cpu()) return std::chrono::duration<double>(times_[to] - times_[from]).count();
  constexpr double second = 1000;  // of the milliseconds that events count
  return events_[from].elapsedTime(events_[to]) / second;
}

}  // namespace distill
