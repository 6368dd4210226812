#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "core/data/augment.h"
#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/training/batch.h"

namespace distill {

// The inputs of a batch, which the host prepares: tensors on the device, of sizes that follow from
// the number of samples alone.
using BatchInputs = std::vector<at::Tensor>;

// Makes batches of a split's pictures; of several views of a picture each epoch shows one, in turn.
// In two parts: the host prepares the inputs, and the device makes the batch of them, which can be
// captured as a graph.
//
// A device that is not the CPU gets the whole split at once where that fits, so that the inputs are
// a few numbers; else each batch's pixels are copied there while it works on the batches before.
class BatchLoader {
 public:
  virtual ~BatchLoader() = default;

  // samples: (B) int64 on the CPU; epoch: from 1; noise: the learner's, undefined where it draws
  // none.
  virtual BatchInputs prepare(const at::Tensor& samples, int64_t epoch,
                              const at::Tensor& noise) = 0;
  virtual Batch batch(const BatchInputs& inputs) const = 0;
};

// The source of batches, and how its pictures are augmented.
struct BatchSource {
  const Split& split;
  int64_t image_size;  // side of the square that the network sees, in pixels
  int64_t batch_size;  // pictures at most
  Augmentation augmentation;
  uint64_t seed;  // of the augmentation
};

// Both `source.split` and `normalize` must outlive it.
std::unique_ptr<BatchLoader> make_batch_loader(const BatchSource& source,
                                               const Normalizer& normalize, at::Device device);

}  // namespace distill
