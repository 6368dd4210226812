#include "core/training/feeder.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/StreamGuard.h>

#include <algorithm>
#include <array>

#include "core/device/device.h"

namespace distill {
namespace {

// Where the pixels and logits of samples lie in an epoch.
at::Tensor rows_of(const at::Tensor& samples, const Split& split, int64_t epoch) {
  return samples * split.views + (epoch - 1) % split.views;
}

// Those of some rows, in this epoch; undefined where pictures are shown as they are.
at::Tensor draw_windows(const Feed& feed, const at::Tensor& rows, int64_t epoch) {
  if (feed.augmentation == Augmentation()) return {};
  std::vector<Window> windows;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    windows.push_back(draw_window(feed.augmentation, feed.split.pixels.size(1), feed.size,
                                  feed.seed, epoch, rows.const_data_ptr<int64_t>()[i]));
  }
  return to_tensor(windows, feed.augmentation.crop == Augmentation::Crop::resized);
}

// The split is on the device: the CPU's always is.
class ResidentFeeder final : public Feeder {
 public:
  ResidentFeeder(const Feed& feed, const Normalizer& normalize, at::Device device)
      : feed_(feed),
        normalize_(normalize),
        device_(device),
        pixels_(feed.split.pixels.to(device)),
        labels_(feed.split.labels.to(device)),
        teacher_logits_(feed.split.teacher_logits.to(device)) {}

  Draw draw(const at::Tensor& samples, int64_t epoch, const at::Tensor& noise) override {
    const at::Tensor rows = rows_of(samples, feed_.split, epoch);
    const at::Tensor windows = draw_windows(feed_, rows, epoch);
    const auto there = [this](const at::Tensor& tensor) {
      return tensor.defined() ? upload(tensor, device_) : tensor;
    };
    return {there(samples), there(rows), there(windows), there(noise)};
  }

  Batch batch(const Draw& draw) const override {
    const at::Tensor &samples = draw[0], &rows = draw[1], &windows = draw[2];
    return {windows.defined() ? normalize_(pixels_, rows, windows, feed_.size)
                              : normalize_(pixels_, rows),
            labels_.index_select(0, samples), teacher_logits_.index_select(0, rows), draw[3]};
  }

 private:
  Feed feed_;
  const Normalizer& normalize_;
  at::Device device_;
  at::Tensor pixels_, labels_, teacher_logits_;
};

// The split stays with the host, which gathers and augments; batches go to the device on a stream
// of their own, by way of a few places that are used in turn.
class StreamingFeeder final : public Feeder {
 public:
  StreamingFeeder(const Feed& feed, const Normalizer& normalize, at::Device device)
      : feed_(feed),
        normalize_(normalize),
        device_(device),
        copying_(another_stream(device)),
        places_{Place(feed, device), Place(feed, device), Place(feed, device)} {}

  Draw draw(const at::Tensor& samples, int64_t epoch, const at::Tensor& noise) override {
    const c10::Stream working = current_stream(device_);
    // All work on the batch before has been queued by now.
    places_[next_].read.record(working);
    next_ = (next_ + 1) % places_.size();
    Place& place = places_[next_];
    // The host waits for the copy of three batches ago, never for what is made of it.
    place.copied.synchronize();

    const at::Tensor rows = rows_of(samples, feed_.split, epoch);
    const at::Tensor windows = draw_windows(feed_, rows, epoch);
    const at::Tensor on_host = place.on_host.narrow(0, 0, samples.size(0));
    const at::Tensor on_device = place.on_device.narrow(0, 0, samples.size(0));
    on_host.copy_(windows.defined() ? cut_windows(feed_.split.pixels, rows, windows, feed_.size)
                                    : feed_.split.pixels.index_select(0, rows));
    place.read.block(copying_);
    {
      const c10::StreamGuard guard(copying_);
      on_device.copy_(on_host, /*non_blocking=*/true);
    }
    place.copied.record(copying_);
    place.copied.block(working);
    return {on_device, upload(feed_.split.labels.index_select(0, samples), device_),
            upload(feed_.split.teacher_logits.index_select(0, rows), device_),
            noise.defined() ? upload(noise, device_) : noise};
  }

  Batch batch(const Draw& draw) const override {
    return {normalize_(draw[0]), draw[1], draw[2], draw[3]};
  }

 private:
  struct Place {
    Place(const Feed& feed, at::Device device)
        : on_host(at::empty({std::min(feed.batch, feed.split.count), feed.size, feed.size, 3},
                            at::kByte)
                      .pin_memory()),
          on_device(at::empty(on_host.sizes(), on_host.options().device(device))),
          copied(device.type()),
          read(device.type()) {
      read.record(current_stream(device));  // which the memory may come from
    }
    at::Tensor on_host, on_device;  // (batch, S, S, 3) uint8
    c10::Event copied, read;
  };

  Feed feed_;
  const Normalizer& normalize_;
  at::Device device_;
  c10::Stream copying_;
  std::array<Place, 3> places_;
  size_t next_ = 0;
};

// Half of what is free is left for what the network makes of the pictures.
bool fits(const Split& split, at::Device device) {
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  return split.pixels.nbytes() + split.teacher_logits.nbytes() <= free / 2;
}

}  // namespace

std::unique_ptr<Feeder> make_feeder(const Feed& feed, const Normalizer& normalize,
                                    at::Device device) {
  if (device.is_cpu() || fits(feed.split, device)) {
    return std::make_unique<ResidentFeeder>(feed, normalize, device);
  }
  return std::make_unique<StreamingFeeder>(feed, normalize, device);
}

}  // namespace distill
