#include "core/training/teacher_scores.h"

namespace distill {

TeacherScores validate_teacher(const Split& split) {
  // The softmax of all rows at once would take as much memory as the logits.
  constexpr int64_t most_rows = 1 << 14;
  const at::Tensor labels = split.labels.narrow(0, 0, split.count);
  const auto logits = split.teacher_logits.narrow(0, 0, split.count * split.views).split(most_rows);
  const auto row_labels = labels.repeat_interleave(split.views).split(most_rows);
  EpochMetrics metrics(static_cast<int64_t>(logits.size()), at::kCPU);
  for (size_t i = 0; i < logits.size(); ++i) {
    const at::Tensor loss = at::cross_entropy_loss(logits[i], row_labels[i]);
    metrics.add(batch_metrics(loss, logits[i], row_labels[i]), logits[i].size(0));
  }
  metrics.read();
  const auto [pictures, label] = at::bincount(labels).max(0);
  const double share = pictures.item<double>() / static_cast<double>(split.count);
  return {metrics.average(0, metrics.batches()), label.item<int64_t>(), share};
}

}  // namespace distill
