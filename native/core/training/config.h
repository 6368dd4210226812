#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/checkpoint/json_object.h"
#include "core/data/augment.h"
#include "core/names.h"
#include "core/training/loss.h"
#include "core/training/optimizer.h"
#include "core/training/sampler.h"
#include "core/training/schedule.h"

// The options of a training, as JavaScript gives them: nothing has a default here.
namespace distill {

// The condition on a validation that makes its network the best so far.
enum class Keep {
  both,      // accuracy and loss have both improved, as in the reference
  accuracy,  // the accuracy has improved, or the loss at the same accuracy
  loss,      // the loss has improved
};
inline constexpr Named<Keep> keeps[] = {
    {"both", Keep::both}, {"accuracy", Keep::accuracy}, {"loss", Keep::loss}};

// The options that every training has.
struct TrainConfig {
  int64_t epochs;
  int64_t batch_size;
  Sampler* sampler;
  uint64_t seed;         // of the initial weights, the order, the dropout and the augmentation
  double learning_rate;  // the largest that the schedule reaches
  Schedule* schedule;
  double warmup_epochs;  // first epochs in which the learning rate grows; of 'cosine' alone
  MakeOptimizer* make_optimizer;
  OptimizerConfig optimizer;
  Loss* loss;
  LossConfig loss_config;
  Augmentation augmentation;
  Keep keep;
  bool early_stop;   // stop after a validation that leaves nothing to learn (leaves_nothing())
  std::string path;  // the file of the best network; empty: none
  // A file with the network that the training starts from, where it is good already: it is
  // validated first, and is the best so far. Empty: the first epoch has nothing to improve on.
  std::string start;
  bool overwrite;       // whether `path` is replaced, whatever has come there since the run began
  JsonObject metadata;  // goes into the network's file
  bool agreement;       // report how often network and teacher agree on the validation pictures
};

// The options of a student's training besides.
struct DistillConfig {
  std::string architecture;         // the registry's name of the student, or the path of a .pt2
  double width;                     // of 'cnn' alone
  std::optional<double> drop_rate;  // none: the architecture's own
  std::string initial_student;      // a checkpoint to start from; empty: fresh weights
};

// The options of a teacher's training besides.
struct TeachConfig {
  std::string architecture;  // the registry's name of the teacher
  std::string weights;       // a checkpoint to start from; empty: fresh weights
  bool averaged;             // take its averaged weights, where it has plain ones as well
  bool keep_head;         // whether the checkpoint's last layer is kept: its classes are the same
  int64_t freeze_epochs;  // first epochs in which all but the last layer is frozen
};

}  // namespace distill
