#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace distill {

// Averages over one pass of the pictures.
struct Metrics {
  double loss = 0;
  double accuracy = 0;  // 0..1, of the labelled pictures
};

// A batch's loss () and the number of its logits (B, classes) that are right by the labels (B), as
// one tensor on their device: (2) float32. With a teacher's logits (B, classes), (3): the last is
// the number of pictures for which both have the same most likely class.
at::Tensor batch_metrics(const at::Tensor& loss, const at::Tensor& logits, const at::Tensor& labels,
                         const at::Tensor& teacher_logits = {});

// The metrics of an epoch's batches. They gather on the device and are read once, at the end: each
// number read from a GPU waits for all work that was queued before.
class EpochMetrics {
 public:
  EpochMetrics(int64_t batches, at::Device device);

  void clear();
  // Takes the batch_metrics() of a batch of so many pictures, of which so many have a label.
  void add(const at::Tensor& metrics, int64_t pictures, int64_t labelled);
  // One row for each batch so far (batches, 5) float64: its metrics, its pictures, its labels. From
  // these rows another one goes on, with as many batches to come.
  at::Tensor rows() const;
  void restore(const at::Tensor& rows);
  int64_t batches() const { return static_cast<int64_t>(pictures_.size()); }

  // Copies the metrics to the host, which waits for the device.
  void read();
  // Averages of the batches from `first` up to `last`. Their losses are weighed by the number of
  // pictures, since the last batch may be smaller.
  Metrics average(int64_t first, int64_t last) const;
  // The share of pictures for which teacher and network have the same most likely class.
  double agreement(int64_t first, int64_t last) const;
  // The loss of each batch, in order.
  std::vector<double> losses(int64_t first, int64_t last) const;

 private:
  // Returns a share of the pictures that `of` counts in each batch; 0 where there is none.
  double share(int64_t column, const std::vector<int64_t>& of, int64_t first, int64_t last) const;

  at::Tensor on_device_;                      // (batches, 3)
  at::Tensor on_host_;                        // the same, once read
  std::vector<int64_t> pictures_, labelled_;  // of each batch
};

}  // namespace distill
