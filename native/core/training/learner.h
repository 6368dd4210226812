#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/device/device.h"
#include "core/models/network.h"
#include "core/training/batch.h"
#include "core/training/config.h"

namespace distill {

// A network in training: its parameters in groups, of which the first may be frozen for some
// epochs.
class Learner {
 public:
  // freeze_epochs: the first epochs in which all but the last layer is frozen; the last layer is
  // then a group of its own. None: there is one group, which is never frozen.
  Learner(std::unique_ptr<Network> network, const Compute& compute,
          std::optional<int64_t> freeze_epochs = std::nullopt);

  const Network& network() const { return *network_; }
  // The parameters that the optimizer moves.
  std::vector<std::vector<at::Tensor>> parameter_groups() const;
  // The fewest pictures that a step can be taken with; a smaller last batch is left out.
  int64_t smallest_batch() const { return network_->smallest_batch(); }

  // Called before an epoch's steps (from 1). Returns how many of the first groups are frozen in it.
  size_t begin_epoch(int64_t epoch);
  // The random numbers of a step with so many pictures, drawn on the CPU so that they are the same
  // for every device; undefined where a step needs none.
  at::Tensor draw_noise(int64_t pictures, const at::Generator& generator) const;
  // In training mode: images -> logits (B, classes) float32.
  at::Tensor forward(const Batch& batch);

  // Called before a validation: brings the network that evaluate() runs up to date.
  void begin_validation();
  // In evaluation mode: images (B, 3, S, S) -> logits (B, classes) float32.
  at::Tensor evaluate(const at::Tensor& images) const { return evaluated_->forward(images); }

 private:
  std::unique_ptr<Network> network_;
  Compute compute_;
  std::optional<int64_t> freeze_epochs_;
  std::unique_ptr<Evaluator> frozen_;     // while the features are frozen
  std::unique_ptr<Evaluator> evaluated_;  // the network at the last begin_validation()
};

// The student of a distillation.
struct NewStudent {
  std::string architecture;  // its name, or the class of the model that was exported
  std::unique_ptr<Network> network;
  // The number of classes in the file that it is made of, where its last layer is replaced.
  std::optional<int64_t> replaced_classes;
};

// Makes a student on the CPU: of a known architecture with fresh weights; or that of an exported
// program with its own, and with a fresh last layer where it has another number of classes; or
// either with the weights of config.initial_student. Throws what reading the files throws,
// ERR_MODEL_ARCHITECTURE where no architecture has config's name, and ERR_GRAPH.
NewStudent make_student(const DistillConfig& config, int64_t classes,
                        const at::Generator& generator);

// A network that is to be a teacher, on the CPU: fresh weights, or those of a checkpoint, with a
// fresh last layer unless config.keep_head. Fresh weights are those of torch.manual_seed(seed) and
// torchvision's constructor, or of torch.nn.Linear for the last layer alone. Throws what reading
// the checkpoint throws, ERR_TEACHER_ARCHITECTURE where it holds no teacher, and
// ERR_MODEL_ARCHITECTURE where no architecture has config's name.
std::unique_ptr<Network> make_teacher(const TeachConfig& config, int64_t classes,
                                      const at::Generator& generator);

}  // namespace distill
