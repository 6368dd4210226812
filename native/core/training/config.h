#pragma once

#include <cstdint>
#include <string>

#include "core/data/augment.h"
#include "core/training/schedule.h"

namespace distill {

// What every training is told.
struct TrainConfig {
  int64_t epochs = 0;
  int64_t batch_size = 0;
  bool shuffle = true;
  uint64_t seed = 0;         // of the initial weights, the order, the dropout and the augmentation
  double learning_rate = 0;  // the schedule's peak
  Schedule::Kind schedule = Schedule::Kind::constant;
  double warmup_epochs = 0;  // of the cosine schedule
  double weight_decay = 0;   // decoupled, as AdamW's
  Augmentation augmentation;
  std::string path;  // where the best network goes; empty: nowhere
  // A file with the network to start from that is good already: it is judged first, and is the best
  // so far. Empty: the first epoch has nothing to beat.
  std::string start;
  bool overwrite = false;  // whether `path` is replaced, whatever has come there
  std::string metadata;    // a JSON object kept in its file
  bool agreement = false;  // whether to tell how often the network says what the teacher says
};

// Which student is the best: the last that improved accuracy and loss both, as the reference has
// it; the most accurate, and of equals the one with the lesser loss; or the one with the least
// loss.
enum class Keep { both, accuracy, loss };

// What a student is told besides. Defaults are the reference's.
struct DistillConfig {
  double drop_rate = 0.2;
  double temperature = 2.0;
  double alpha = 0.7;           // the weight of the teacher's (soft) term
  std::string initial_student;  // a checkpoint to start from; empty: fresh weights
  Keep keep = Keep::both;
};

// What a teacher is told besides.
struct TeachConfig {
  std::string architecture;  // a DenseNet's name
  std::string weights;       // a checkpoint to start from; empty: fresh weights
  bool keep_head = false;    // whether the checkpoint's last layer tells the same classes apart
  double label_smoothing = 0;
  int64_t freeze_epochs = 0;  // first epochs in which the last layer alone learns
};

}  // namespace distill
