#include "core/training/store_filler.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"

namespace distill {

StoreFiller::StoreFiller(SampleStore& store, std::optional<Teacher>& teacher,
                         const Augmentation& view, const AnswerLogPlace& answers,
                         int64_t image_size, at::Device device)
    : store_(store), teacher_(teacher), view_(view), image_size_(image_size), device_(device) {
  if (!answers.file.empty() && store.shape().has_teacher) log_.emplace(answers, store.shape());
}

void StoreFiller::append(const ImageBatch& batch) {
  const c10::NoGradGuard no_grad;
  Split& split = store_.split(batch.split);
  const at::Tensor rows = store_.append(batch);
  rows.copy_(batch.split == SplitName::train ? views(batch.pixels, batch.sources) : batch.pixels);
  if (!batch.answered || !store_.shape().has_teacher) return;
  const int64_t count = batch.pixels.size(0);
  const at::Tensor logits =
      split.teacher_logits.narrow(0, split.count * split.views - rows.size(0), rows.size(0));
  const bool is_known = has_answers(batch.split, batch.sources, count);
  if (is_known || waiting_split_ != &split) ask_teacher(waiting_);
  if (is_known) return log_->read(batch.split, batch.sources, count, logits);
  if (!teacher_) return take_given(batch, logits);
  waiting_split_ = &split;
  waiting_name_ = batch.split;
  waiting_ += rows.size(0);
  // The CPU computes while the next pictures are decoded; a GPU needs more of them to be busy.
  if (device_.is_cpu()) return ask_teacher(waiting_);
  const int64_t full = evaluation_batch(image_size_);
  while (waiting_ >= full) ask_teacher(full);
}

void StoreFiller::take_given(const ImageBatch& batch, const at::Tensor& logits) {
  if (static_cast<int64_t>(batch.teacher_logits.size()) != logits.numel()) {
    throw Error("ERR_INTERNAL", "teacherLogits are " + std::to_string(batch.teacher_logits.size()) +
                                    " numbers, but the pictures need " +
                                    std::to_string(logits.numel()));
  }
  std::copy(batch.teacher_logits.begin(), batch.teacher_logits.end(),
            logits.mutable_data_ptr<float>());
  if (log_) log_->add(batch.split, batch.sources, batch.pixels.size(0), logits);
}

// Asks about the first of the rows that wait.
void StoreFiller::ask_teacher(int64_t count) {
  if (count == 0) return;
  Split& split = *waiting_split_;
  const int64_t first = split.count * split.views - std::exchange(waiting_, waiting_ - count);
  const at::Tensor logits = teacher_->classifier.logits(split.pixels.narrow(0, first, count));
  if (!logits.isfinite().all().item<bool>()) {
    throw Error("ERR_NOT_FINITE", "the answers of the teacher '" + teacher_->path +
                                      "' are not finite numbers: check mean and std, or use a "
                                      "checkpoint from before its training diverged");
  }
  split.teacher_logits.narrow(0, first, count).copy_(logits);
  if (!log_) return;
  const at::Tensor sources =
      split.sources.narrow(0, first / split.views, count / split.views).to(at::kInt);
  log_->add(waiting_name_, sources.const_data_ptr<int32_t>(), sources.numel(), logits);
}

// The windows depend on the picture's place in the list of files alone, so that a store serves the
// seed of every run.
at::Tensor StoreFiller::views(const at::Tensor& pixels, const int32_t* sources) const {
  if (view_.is_identity()) return pixels;
  const int64_t views = store_.shape().views;
  std::vector<Window> windows;
  for (int64_t i = 0; i < pixels.size(0); ++i) {
    for (int64_t view = 0; view < views; ++view) {
      windows.push_back(
          draw_window(view_, pixels.size(1), image_size_, /*seed=*/0, view, sources[i]));
    }
  }
  const at::Tensor indices = at::arange(pixels.size(0), at::kLong).repeat_interleave(views);
  const bool resized = view_.crop == Augmentation::Crop::resized;
  return cut_windows(pixels, indices, to_tensor(windows, resized), image_size_);
}

void StoreFiller::finish() {
  ask_teacher(waiting_);
  store_.seal();
}

}  // namespace distill
