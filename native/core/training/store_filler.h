#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/data/augment.h"
#include "core/data/sample_store.h"
#include "core/device/device.h"
#include "core/models/classifier.h"
#include "core/training/answer_log.h"

namespace distill {

// The teacher of a distillation, while the store is filled with its logits.
struct Teacher {
  Teacher(std::string path, std::unique_ptr<Evaluator> evaluator,
          const Preprocessing& preprocessing, const Compute& compute)
      : path(std::move(path)), classifier(std::move(evaluator), preprocessing, compute) {}

  std::string path;
  Classifier classifier;
};

// Fills a store with pictures, views of them, and the teacher's logits.
class StoreFiller {
 public:
  // `store` and `teacher` must outlive it. `view` augments training pictures on their way into the
  // store. Without a teacher the logits come with the pictures.
  StoreFiller(SampleStore& store, std::optional<Teacher>& teacher, const Augmentation& view,
              const AnswerLogPlace& answers, int64_t image_size, at::Device device);

  // Returns what append() makes of training pictures: (n * views, image_size, image_size, 3), the
  // views of each picture side by side; the pictures themselves where nothing augments them.
  at::Tensor views(const at::Tensor& pixels, const int32_t* sources) const;
  // True where the teacher has answered for these pictures before the run was interrupted.
  bool has_answers(SplitName split, const int32_t* sources, int64_t count) const {
    return log_ && log_->has(split, sources, count);
  }
  // Throws ERR_NOT_FINITE where the teacher's logits are not finite numbers, and what the log of
  // answers throws.
  void append(const ImageBatch& batch);
  // Asks the teacher about all pictures that still wait for its logits, and seals the store.
  void finish();

 private:
  void ask_teacher(int64_t count);
  void take_given(const ImageBatch& batch, const at::Tensor& logits);

  SampleStore& store_;
  std::optional<Teacher>& teacher_;
  Augmentation view_;
  int64_t image_size_;
  at::Device device_;
  std::optional<AnswerLog> log_;
  SplitName waiting_name_ = SplitName::train;
  Split* waiting_split_ = nullptr;  // whose last rows wait for the teacher's logits
  int64_t waiting_ = 0;             // number of these rows
};

}  // namespace distill
