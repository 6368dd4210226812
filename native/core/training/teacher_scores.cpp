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
    const at::Tensor labelled = row_labels[i].ne(no_label).nonzero().squeeze(1);
    const int64_t rows = labelled.size(0);
    if (rows == 0) continue;
    const bool all = rows == logits[i].size(0);
    const at::Tensor some_logits = all ? logits[i] : logits[i].index_select(0, labelled);
    const at::Tensor some_labels = all ? row_labels[i] : row_labels[i].index_select(0, labelled);
    const at::Tensor loss = at::cross_entropy_loss(some_logits, some_labels);
    metrics.add(batch_metrics(loss, some_logits, some_labels), rows, rows);
  }
  metrics.read();
  const at::Tensor counts = at::bincount(labels.masked_select(labels.ne(no_label)));
  const auto [pictures, label] = counts.max(0);
  const double share = pictures.item<double>() / counts.sum().item<double>();
  return {metrics.average(0, metrics.batches()), label.item<int64_t>(), share};
}

}  // namespace distill
