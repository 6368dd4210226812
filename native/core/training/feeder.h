#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "core/data/augment.h"
#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/training/learner.h"

namespace distill {

// Puts batches of a split's pictures together; of several views of a picture each epoch shows one,
// in turn. In two parts: the host draws what a batch is made of, and the device makes it.
//
// A device that is not the CPU gets the whole split at once where that fits, so that a draw is a
// few numbers; else each batch's pixels are copied there while it is at work on the batches before.
class Feeder {
 public:
  virtual ~Feeder() = default;

  // Tensors on the device, of sizes that follow from the number of samples alone. samples: (B)
  // int64 on the CPU; noise: what the learner drew for them, if anything.
  using Draw = std::vector<at::Tensor>;
  virtual Draw draw(const at::Tensor& samples, int64_t epoch, const at::Tensor& noise) = 0;
  virtual Batch batch(const Draw& draw) const = 0;
};

// What a feeder takes pictures from and makes of them.
struct Feed {
  const Split& split;
  int64_t size;   // pixels a side that the network sees
  int64_t batch;  // pictures at most
  Augmentation augmentation;
  uint64_t seed;
};

// Both `feed.split` and `normalize` must outlive it.
std::unique_ptr<Feeder> make_feeder(const Feed& feed, const Normalizer& normalize,
                                    at::Device device);

}  // namespace distill
