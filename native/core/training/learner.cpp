#include "core/training/learner.h"

#include <c10/core/GradMode.h>

#include <limits>

#include "core/models/registry.h"
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
      : config_(config),
        compute_(compute),
        network_(student_architecture().create({classes, config.drop_rate})) {
    if (config.initial_student.empty()) {
      network_->initialize(generator);
    } else {
      load_weights(*network_, student_architecture(), Checkpoint::open(config.initial_student));
    }
    move_weights(network_->state(), compute.device);
  }

  const StateDict& state() const override { return network_->state(); }
  std::vector<std::vector<at::Tensor>> parameter_groups() const override {
    return {trainable(network_->state())};
  }
  at::Tensor draw_noise(int64_t pictures, at::Generator generator) const override {
    return network_->draw_dropout(pictures, std::move(generator));
  }
  at::Tensor forward(const Batch& batch) override {
    return network_->forward(batch.images, batch.noise);
  }
  at::Tensor loss(const at::Tensor& logits, const Batch& batch) const override {
    return distillation_loss(logits, batch.teacher_logits, batch.labels, config_.temperature,
                             config_.alpha);
  }
  void begin_validation() override {
    if (evaluated_) {
      evaluated_->follow(*network_);
    } else {
      evaluated_ = network_->evaluator(compute_);
    }
  }
  at::Tensor evaluate(const at::Tensor& images) const override {
    return evaluated_->forward(images);
  }
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
  Compute compute_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Evaluator> evaluated_;  // with the weights of the last validation's begin
};

// Fresh weights, or those of a checkpoint with a fresh last layer. Fresh ones are those of
// torch.manual_seed(seed) and torchvision's constructor, or torch.nn.Linear's for the last layer.
std::unique_ptr<Network> initial_teacher(const TeachConfig& config, int64_t classes,
                                         const at::Generator& generator) {
  if (config.weights.empty()) {
    auto network = find_architecture(config.architecture).create({classes, /*drop_rate=*/0});
    network->initialize(generator);
    return network;
  }
  LoadedNetwork loaded = load_teacher(config.weights);
  if (config.keep_head) return std::move(loaded.network);
  auto network = loaded.architecture->create({classes, /*drop_rate=*/0});
  Linear head = network->head();
  head.initialize(generator);
  for (const auto& [name, tensor] : network->state()) {
    if (tensor.is_same(head.weight) || tensor.is_same(head.bias)) continue;
    at::Tensor(tensor).copy_(loaded.network->state().at(name));
  }
  return network;
}

class TeacherLearner final : public Learner {
 public:
  TeacherLearner(const TeachConfig& config, int64_t classes, const at::Generator& generator,
                 const Compute& compute)
      : config_(config), compute_(compute), network_(initial_teacher(config, classes, generator)) {
    move_weights(network_->state(), compute.device);
  }

  const StateDict& state() const override { return network_->state(); }
  std::vector<std::vector<at::Tensor>> parameter_groups() const override {
    const Linear& head = network_->head();
    std::vector<at::Tensor> features = trainable(network_->state());
    features.resize(features.size() - 2);  // the head's two are the last
    return {features, {head.weight, head.bias}};
  }
  size_t begin_epoch(int64_t epoch) override {
    if (epoch > config_.freeze_epochs) {
      frozen_.reset();
      return 0;
    }
    const c10::NoGradGuard no_grad;
    if (!frozen_) frozen_ = network_->evaluator(compute_);
    return 1;
  }
  int64_t smallest_batch() const override { return network_->smallest_batch(); }

  at::Tensor draw_noise(int64_t pictures, at::Generator generator) const override {
    return network_->draw_dropout(pictures, std::move(generator));
  }
  at::Tensor forward(const Batch& batch) override {
    if (!frozen_) return network_->forward(batch.images, batch.noise);
    const at::Tensor features = [&] {
      const c10::NoGradGuard no_grad;
      return frozen_->features(batch.images);
    }();
    return network_->head()(features);
  }
  at::Tensor loss(const at::Tensor& logits, const Batch& batch) const override {
    return at::cross_entropy_loss(logits, batch.labels, /*weight=*/{}, at::Reduction::Mean,
                                  /*ignore_index=*/-100, config_.label_smoothing);
  }
  void begin_validation() override {
    if (evaluated_) {
      evaluated_->follow(*network_);
    } else {
      evaluated_ = network_->evaluator(compute_);
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
  std::unique_ptr<Network> network_;
  std::unique_ptr<Evaluator> frozen_;     // while the features are frozen
  std::unique_ptr<Evaluator> evaluated_;  // with the weights of the last validation's begin
};

}  // namespace

std::unique_ptr<Learner> make_student(const DistillConfig& config, int64_t classes,
                                      const at::Generator& generator, const Compute& compute) {
  return std::make_unique<StudentLearner>(config, classes, generator, compute);
}

std::unique_ptr<Learner> make_teacher(const TeachConfig& config, int64_t classes,
                                      const at::Generator& generator, const Compute& compute) {
  return std::make_unique<TeacherLearner>(config, classes, generator, compute);
}

}  // namespace distill
