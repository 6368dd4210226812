#pragma once

#include <cstdint>

#include "core/data/sample_store.h"
#include "core/training/metrics.h"

namespace distill {

// The scores of a teacher by its logits for the labelled pictures in the store, those of all views,
// beside the most common class and its share of these pictures.
struct TeacherScores {
  Metrics metrics;
  int64_t commonest;
  double share;  // 0..1
};

TeacherScores validate_teacher(const Split& split);

}  // namespace distill
