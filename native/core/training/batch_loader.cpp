#include "core/training/batch_loader.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/StreamGuard.h>

#include <algorithm>
#include <array>

#include "core/device/device.h"

namespace distill {
namespace {

// The rows of the samples' pixels and logits in an epoch.
at::Tensor rows_of(const at::Tensor& samples, const Split& split, int64_t epoch) {
  return samples * split.views + (epoch - 1) % split.views;
}

// Windows of some rows in an epoch; undefined where pictures are shown as they are.
at::Tensor draw_windows(const BatchSource& source, const at::Tensor& rows, int64_t epoch) {
  if (source.augmentation.is_identity()) return {};
  std::vector<Window> windows;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    windows.push_back(draw_window(source.augmentation, source.split.pixels.size(1),
                                  source.image_size, source.seed, epoch,
                                  rows.const_data_ptr<int64_t>()[i]));
  }
  return to_tensor(windows, source.augmentation.crop == Augmentation::Crop::resized);
}

// Keeps the split on the device, where the CPU's always is.
class ResidentLoader final : public BatchLoader {
 public:
  ResidentLoader(const BatchSource& source, const Normalizer& normalize, at::Device device)
      : source_(source),
        normalize_(normalize),
        device_(device),
        pixels_(source.split.pixels.to(device)),
        labels_(source.split.labels.to(device)),
        teacher_logits_(source.split.teacher_logits.to(device)) {}

  BatchInputs prepare(const at::Tensor& samples, int64_t epoch, const at::Tensor& noise) override {
    const at::Tensor rows = rows_of(samples, source_.split, epoch);
    const at::Tensor windows = draw_windows(source_, rows, epoch);
    const auto on_device = [this](const at::Tensor& tensor) {
      return tensor.defined() ? upload(tensor, device_) : tensor;
    };
    return {on_device(samples), on_device(rows), on_device(windows), on_device(noise)};
  }

  Batch batch(const BatchInputs& inputs) const override {
    const at::Tensor &samples = inputs[0], &rows = inputs[1], &windows = inputs[2];
    return {windows.defined() ? normalize_(pixels_, rows, windows, source_.image_size)
                              : normalize_(pixels_, rows),
            labels_.index_select(0, samples), teacher_logits_.index_select(0, rows), inputs[3]};
  }

 private:
  BatchSource source_;
  const Normalizer& normalize_;
  at::Device device_;
  at::Tensor pixels_, labels_, teacher_logits_;
};

// Keeps the split on the host, which gathers and augments; batches go to the device on a stream of
// their own, by way of a few buffers that are used in turn.
class StreamingLoader final : public BatchLoader {
 public:
  StreamingLoader(const BatchSource& source, const Normalizer& normalize, at::Device device)
      : source_(source),
        normalize_(normalize),
        device_(device),
        copy_stream_(another_stream(device)),
        buffers_{Buffer(source, device), Buffer(source, device), Buffer(source, device)} {}

  BatchInputs prepare(const at::Tensor& samples, int64_t epoch, const at::Tensor& noise) override {
    const c10::Stream work_stream = current_stream(device_);
    // All work on the batch before has been queued by now.
    buffers_[next_].read.record(work_stream);
    next_ = (next_ + 1) % buffers_.size();
    Buffer& buffer = buffers_[next_];
    // The host waits for the copy of three batches ago, never for the work on it.
    buffer.copied.synchronize();

    const at::Tensor rows = rows_of(samples, source_.split, epoch);
    const at::Tensor windows = draw_windows(source_, rows, epoch);
    const at::Tensor on_host = buffer.on_host.narrow(0, 0, samples.size(0));
    const at::Tensor on_device = buffer.on_device.narrow(0, 0, samples.size(0));
    on_host.copy_(windows.defined()
                      ? cut_windows(source_.split.pixels, rows, windows, source_.image_size)
                      : source_.split.pixels.index_select(0, rows));
    buffer.read.block(copy_stream_);
    {
      const c10::StreamGuard guard(copy_stream_);
      on_device.copy_(on_host, /*non_blocking=*/true);
    }
    buffer.copied.record(copy_stream_);
    buffer.copied.block(work_stream);
    return {on_device, upload(source_.split.labels.index_select(0, samples), device_),
            upload(source_.split.teacher_logits.index_select(0, rows), device_),
            noise.defined() ? upload(noise, device_) : noise};
  }

  Batch batch(const BatchInputs& inputs) const override {
    return {normalize_(inputs[0]), inputs[1], inputs[2], inputs[3]};
  }

 private:
  struct Buffer {
    Buffer(const BatchSource& source, at::Device device)
        : on_host(at::empty({std::min(source.batch_size, source.split.count), source.image_size,
                             source.image_size, 3},
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

  BatchSource source_;
  const Normalizer& normalize_;
  at::Device device_;
  c10::Stream copy_stream_;
  std::array<Buffer, 3> buffers_;
  size_t next_ = 0;
};

// Half of the free memory is left for the network's activations.
bool fits(const Split& split, at::Device device) {
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  return split.pixels.nbytes() + split.teacher_logits.nbytes() <= free / 2;
}

}  // namespace

std::unique_ptr<BatchLoader> make_batch_loader(const BatchSource& source,
                                               const Normalizer& normalize, at::Device device) {
  if (device.is_cpu() || fits(source.split, device)) {
    return std::make_unique<ResidentLoader>(source, normalize, device);
  }
  return std::make_unique<StreamingLoader>(source, normalize, device);
}

}  // namespace distill
