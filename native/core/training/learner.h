#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <vector>

#include "core/checkpoint/state_dict.h"
#include "core/device/device.h"
#include "core/training/config.h"
#include "core/training/tally.h"

namespace distill {

// The pictures of a step.
struct Batch {
  at::Tensor images;          // (B, 3, S, S) in the type that the network computes in
  at::Tensor labels;          // (B) int64
  at::Tensor teacher_logits;  // (B, classes) float32; (B, 0) without a teacher
  at::Tensor noise;           // what the learner drew for it, if anything
};

// A network with what it is to learn, and what counts as having learnt it: all that tells one
// training from another.
class Learner {
 public:
  virtual ~Learner() = default;

  virtual const StateDict& state() const = 0;
  // What the optimizer moves, in groups of which the first may rest for some epochs.
  virtual std::vector<std::vector<at::Tensor>> parameter_groups() const = 0;
  // Called before an epoch's steps (from 1): how many of the groups rest in it.
  virtual size_t begin_epoch(int64_t epoch) { return 0; }
  // Pictures that a step needs at least; a smaller last batch is left out.
  virtual int64_t smallest_batch() const { return 1; }

  // What a step draws at random for so many pictures, on the CPU, so that it is the same on every
  // device; undefined where it draws nothing.
  virtual at::Tensor draw_noise(int64_t pictures, at::Generator generator) const { return {}; }
  // In training mode: images -> logits (B, classes) float32.
  virtual at::Tensor forward(const Batch& batch) = 0;
  virtual at::Tensor loss(const at::Tensor& logits, const Batch& batch) const = 0;  // -> scalar

  // Called before a validation: brings what evaluates up to what has been learnt.
  virtual void begin_validation() {}
  // In evaluation mode: images -> logits.
  virtual at::Tensor evaluate(const at::Tensor& images) const = 0;

  // Whether a validation is better than the best before it, if there is one.
  virtual bool improves(const Metrics& val, const std::optional<Metrics>& best) const = 0;
  // Whether a validation leaves nothing to be learnt.
  virtual bool is_done(const Metrics& val) const { return false; }
};

// A student of the teacher's logits and the labels. Throws what reading the initial student throws.
std::unique_ptr<Learner> make_student(const DistillConfig& config, int64_t classes,
                                      const at::Generator& generator, const Compute& compute);

// A teacher that learns from the labels alone. Throws what reading the initial weights throws,
// ERR_TEACHER_ARCHITECTURE where they are not a teacher's, and ERR_MODEL_ARCHITECTURE where no
// architecture has config's name.
std::unique_ptr<Learner> make_teacher(const TeachConfig& config, int64_t classes,
                                      const at::Generator& generator, const Compute& compute);

}  // namespace distill
