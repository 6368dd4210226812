#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace distill {

// Averages over one pass of the pictures.
struct Metrics {
  double loss = 0;
  double accuracy = 0;  // 0..1
};

// What a batch came to, on its device: its loss () and how many of its logits (B, classes) are
// right by the labels (B) -> (2) float32, or (3) with how many say what the teacher's (B, classes)
// say.
at::Tensor outcome_of(const at::Tensor& loss, const at::Tensor& logits, const at::Tensor& labels,
                      const at::Tensor& teacher_logits = {});

// The outcomes of an epoch's batches. They gather on the device and are read once, at the end:
// whoever asks a GPU for a number waits for all that it was told before.
class Tally {
 public:
  Tally(int64_t batches, at::Device device);

  void clear() { pictures_.clear(); }
  // Of a batch of so many pictures.
  void add(const at::Tensor& outcome, int64_t pictures);
  int64_t batches() const { return static_cast<int64_t>(pictures_.size()); }

  // Waits for the device.
  void read();
  // Of the batches from `first` up to `last`, each weighed by its size: the last one may be
  // smaller.
  Metrics metrics(int64_t first, int64_t last) const;
  double agreement(int64_t first, int64_t last) const;
  std::vector<double> losses(int64_t first, int64_t last) const;

 private:
  double sum(int64_t column, int64_t first, int64_t last) const;

  at::Tensor outcomes_;            // (batches, 3) on the device
  at::Tensor read_;                // the same on the CPU
  std::vector<int64_t> pictures_;  // of each batch
};

}  // namespace distill
