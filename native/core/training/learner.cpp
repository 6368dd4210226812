#include "core/training/learner.h"

#include <c10/core/GradMode.h>

#include <limits>

#include "core/models/classifier.h"
#include "core/models/densenet.h"
#include "core/models/frozen_densenet.h"
#include "core/models/student.h"
#include "core/nn/weights.h"
#include "core/training/distillation_loss.h"

namespace distill {
namespace {

bool is_more_accurate(const Metrics& val, const Metrics& than) {
  return val.accuracy > than.accuracy || (val.accuracy == than.accuracy && val.loss < than.loss);
}

class StudentLearner final : public Learner {
 public:
  StudentLearner(const DistillConfig& config, int64_t classes, const at::Generator& generator,
                 const Compute& compute)
      : config_(config), student_(classes, config.drop_rate) {
    if (config.initial_student.empty()) {
      student_.initialize(generator);
    } else {
      load_weights(student_.state(), Checkpoint::open(config.initial_student),
                   "a student with " + std::to_string(classes) + " classes");
    }
    move_weights(student_.state(), compute.device);
  }

  const StateDict& state() const override { return student_.state(); }
  std::vector<std::vector<at::Tensor>> parameter_groups() const override {
    return {student_.parameters()};
  }
  at::Tensor draw_noise(int64_t pictures, at::Generator generator) const override {
    return student_.draw_dropout(pictures, std::move(generator));
  }
  at::Tensor forward(const Batch& batch) override {
    return student_.forward_in_training(batch.images, batch.noise);
  }
  at::Tensor loss(const at::Tensor& logits, const Batch& batch) const override {
    return distillation_loss(logits, batch.teacher_logits, batch.labels, config_.temperature,
                             config_.alpha);
  }
  at::Tensor evaluate(const at::Tensor& images) const override { return student_.forward(images); }
  bool improves(const Metrics& val, const std::optional<Metrics>& best) const override {
    if (config_.keep == Keep::accuracy) return !best || is_more_accurate(val, *best);
    if (config_.keep == Keep::loss) return !best || val.loss < best->loss;
    // Both must improve, and the first epoch beats what the reference starts from.
    const Metrics start{/*loss=*/100, /*accuracy=*/0}, before = best.value_or(start);
    if (val.accuracy > before.accuracy && val.loss < before.loss) return true;
    // Where nothing is left to be learnt, one of them is enough.
    return is_done(val) && (val.accuracy > before.accuracy || val.loss < before.loss);
  }
  bool is_done(const Metrics& val) const override {
    return val.loss < 0.0001 || val.accuracy > 0.9999;
  }

 private:
  DistillConfig config_;
  Student student_;
};

// Fresh weights, or those of a checkpoint with a fresh last layer. Fresh ones are those of
// torch.manual_seed(seed) and torchvision's constructor, or torch.nn.Linear's for the last layer.
DenseNet initial_densenet(const TeachConfig& config, int64_t classes,
                          const at::Generator& generator) {
  if (config.weights.empty()) {
    for (const DenseNetVariant& variant : densenet_variants()) {
      if (variant.name != config.architecture) continue;
      DenseNet model(variant, classes);
      model.initialize(generator);
      return model;
    }
  }
  DenseNet loaded = load_teacher(config.weights);
  if (config.keep_head) return loaded;
  DenseNet model(loaded.variant(), classes);
  model.initialize_head(generator);
  for (const auto& [name, tensor] : loaded.state()) {
    if (!name.starts_with("classifier.")) at::Tensor(model.state().at(name)).copy_(tensor);
  }
  return model;
}

class DenseNetLearner final : public Learner {
 public:
  DenseNetLearner(const TeachConfig& config, int64_t classes, const at::Generator& generator,
                  const Compute& compute)
      : config_(config), compute_(compute), model_(initial_densenet(config, classes, generator)) {
    move_weights(model_.state(), compute.device);
  }

  const StateDict& state() const override { return model_.state(); }
  std::vector<std::vector<at::Tensor>> parameter_groups() const override {
    const Linear& head = model_.layers().classifier;
    std::vector<at::Tensor> features = trainable(model_.state());
    features.resize(features.size() - 2);  // the head's two are the last
    return {features, {head.weight, head.bias}};
  }
  size_t begin_epoch(int64_t epoch) override {
    if (epoch > config_.freeze_epochs) {
      frozen_.reset();
      return 0;
    }
    const c10::NoGradGuard no_grad;
    if (!frozen_) frozen_.emplace(model_, compute_);
    return 1;
  }
  // Of the last features there is one value a picture, which BatchNorm can only compare with
  // others'.
  int64_t smallest_batch() const override { return 2; }

  at::Tensor forward(const Batch& batch) override {
    if (!frozen_) return model_.forward(batch.images);
    const at::Tensor features = [&] {
      const c10::NoGradGuard no_grad;
      return frozen_->features(batch.images);
    }();
    return model_.layers().classifier(features);
  }
  at::Tensor loss(const at::Tensor& logits, const Batch& batch) const override {
    return at::cross_entropy_loss(logits, batch.labels, /*weight=*/{}, at::Reduction::Mean,
                                  /*ignore_index=*/-100, config_.label_smoothing);
  }
  void begin_validation() override {
    if (evaluated_) {
      evaluated_->follow(model_);
    } else {
      evaluated_.emplace(model_, compute_);
    }
  }
  at::Tensor evaluate(const at::Tensor& images) const override {
    return evaluated_->forward(images);
  }
  // A teacher is taken for what it gets right. Its loss may well rise while it still learns.
  bool improves(const Metrics& val, const std::optional<Metrics>& best) const override {
    return !best || is_more_accurate(val, *best);
  }

 private:
  TeachConfig config_;
  Compute compute_;
  DenseNet model_;
  std::optional<FrozenDenseNet> frozen_;     // while the features rest
  std::optional<FrozenDenseNet> evaluated_;  // as it was when the last validation began
};

}  // namespace

std::unique_ptr<Learner> make_student(const DistillConfig& config, int64_t classes,
                                      const at::Generator& generator, const Compute& compute) {
  return std::make_unique<StudentLearner>(config, classes, generator, compute);
}

std::unique_ptr<Learner> make_teacher(const TeachConfig& config, int64_t classes,
                                      const at::Generator& generator, const Compute& compute) {
  return std::make_unique<DenseNetLearner>(config, classes, generator, compute);
}

}  // namespace distill
