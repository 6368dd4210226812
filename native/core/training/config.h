#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/json_object.h"
#include "core/data/augment.h"
#include "core/names.h"
#include "core/training/loss.h"
#include "core/training/monitor.h"
#include "core/training/optimizer.h"
#include "core/training/sampler.h"
#include "core/training/schedule.h"

// The options of a training, as JavaScript gives them: nothing has a default here.
namespace distill {

// How a training is kept, so that it can go on after it was interrupted.
struct KeepConfig {
  std::string state;        // the file of its state; empty: it is not kept
  std::string last;         // the file of the network as the last epoch left it
  double every;             // seconds between two states within an epoch
  bool resume;              // go on from the state in the file
  std::string fingerprint;  // of all that the training's numbers follow from
};

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
  Monitor monitor;
  bool early_stop;  // stop after a validation that leaves nothing to learn (leaves_nothing())
  std::optional<int64_t> patience;    // epochs without a better one before the training stops
  double min_delta;                   // what an epoch has to be better by, for the patience alone
  std::optional<double> max_seconds;  // of the run, before the training stops
  double elapsed;                     // seconds of the run before this training, or this part of it
  std::vector<std::string> paths;     // the files of the best network
  KeepConfig keep;
  // A file with the network that the training starts from, where it is good already: it is
  // validated first, and is the best so far. Empty: the first epoch has nothing to improve on.
  std::string start;
  bool overwrite;       // whether `paths` are replaced, whatever has come there since the run began
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
