#include "core/training/train.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "core/device/graph.h"
#include "core/device/timer.h"
#include "core/error.h"
#include "core/training/batch_loader.h"
#include "core/training/best_network.h"
#include "core/training/metrics.h"
#include "core/training/optimizer.h"

namespace distill {
namespace {

int64_t count_batches(int64_t pictures, int64_t batch_size) {
  return (pictures + batch_size - 1) / batch_size;
}

// A last batch that is too small for the learner is left out.
int64_t pictures_per_epoch(int64_t pictures, int64_t batch_size, const Learner& learner) {
  const int64_t last_batch = pictures % batch_size;
  return last_batch < learner.smallest_batch() ? pictures - last_batch : pictures;
}

// The pictures of a split that a training learns from: without a teacher's term, the labelled ones.
at::Tensor pictures_to_learn(const Split& split, const LossConfig& loss) {
  const at::Tensor labels = split.labels.narrow(0, 0, split.count);
  return loss.alpha > 0 ? at::arange(split.count, at::kLong)
                        : labels.ne(no_label).nonzero().squeeze(1);
}

// Validation judges each picture by itself, so that its batches may fill a GPU.
int64_t validation_batch_size(const TrainConfig& config, int64_t image_size, at::Device device) {
  if (device.is_cpu()) return config.batch_size;
  return std::max(config.batch_size, evaluation_batch(image_size));
}

LossConfig moved_to(at::Device device, LossConfig config) {
  if (config.class_weights) config.class_weights = config.class_weights->to(device);
  return config;
}

// A training that is prepared, and runs epoch by epoch.
class Training {
 public:
  Training(const SampleStore& store, const Preprocessing& preprocessing, const TrainConfig& config,
           Learner& learner, at::Generator generator, const Compute& compute,
           TrainingControl& control)
      : config_(config),
        learner_(learner),
        generator_(std::move(generator)),
        control_(control),
        device_(compute.device),
        pictures_(pictures_to_learn(store.train(), config.loss_config)),
        labels_(store.train().labels.index_select(0, pictures_)),
        all_labelled_(labels_.ne(no_label).all().item<bool>()),
        used_count_(pictures_per_epoch(pictures_.size(0), config.batch_size, learner)),
        val_count_(store.val().count),
        val_batch_size_(validation_batch_size(config, preprocessing.image_size, device_)),
        steps_(count_batches(used_count_, config.batch_size)),
        val_steps_(count_batches(val_count_, val_batch_size_)),
        schedule_config_{config.learning_rate, config.epochs * steps_,
                         std::llround(config.warmup_epochs * static_cast<double>(steps_))},
        loss_config_(moved_to(device_, config.loss_config)),
        normalize_(preprocessing, device_, compute.dtype),
        metrics_(steps_ + val_steps_, device_),
        step_(device_, [this](const BatchInputs& inputs) { return forward_backward(inputs); }),
        val_step_(device_, [this](const BatchInputs& inputs) { return evaluate(inputs); }) {
    for (const auto& parameters : learner.parameter_groups()) {
      optimizers_.push_back(config.make_optimizer(parameters, config.optimizer));
    }
    loader_ = make_batch_loader({store.train(), preprocessing.image_size, config.batch_size,
                                 config.augmentation, config.seed},
                                normalize_, device_);
    val_loader_ = make_batch_loader(
        {store.val(), preprocessing.image_size, val_batch_size_, Augmentation(), /*seed=*/0},
        normalize_, device_);
    control_.steps = steps_ + val_steps_;
  }

  // Validates the network that the training starts from; nothing where it is stopped.
  std::optional<EpochReport> validate_start() {
    EpochReport report;
    DeviceTimer timer(device_);
    timer.mark();
    validate();
    timer.mark();
    if (control_.stop) return std::nullopt;
    metrics_.read();
    report_validation(report, /*first=*/0);
    report.val_seconds = timer.seconds(0, 1);
    if (!std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the validation loss of '" + config_.start +
                                        "' is not a finite number; check mean and std, or start "
                                        "from another file");
    }
    return report;
  }

  // Trains and validates; nothing where it is stopped, as an epoch cut short has no averages.
  std::optional<EpochReport> run_epoch(int64_t epoch) {
    control_.epoch = epoch;
    control_.step = 0;
    metrics_.clear();
    phases_ = {};
    DeviceTimer timer(device_);
    timer.mark();
    train_epoch(epoch);
    timer.mark();
    validate();
    timer.mark();
    if (control_.stop) return std::nullopt;

    metrics_.read();  // the one time in an epoch that the host waits for the device
    EpochReport report;
    report.epoch = epoch;
    report.train = metrics_.average(0, steps_);
    report.step_losses = metrics_.losses(0, steps_);
    report.train_seconds = timer.seconds(0, 1);
    report.phases = phases_;
    report_validation(report, /*first=*/steps_);
    report.val_seconds = timer.seconds(1, 2);
    if (!std::isfinite(report.train.loss) || !std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the loss is no longer a finite number in epoch " +
                                        std::to_string(epoch) + "; lower lr (it is " +
                                        std::to_string(config_.learning_rate) + ")");
    }
    return report;
  }

 private:
  void train_epoch(int64_t epoch) {
    const size_t frozen = learner_.begin_epoch(epoch);
    if (std::exchange(frozen_groups_, frozen) != frozen) step_.forget();
    const at::Tensor order = config_.sampler(labels_, generator_).narrow(0, 0, used_count_);
    for (const at::Tensor& batch : order.split(config_.batch_size)) {
      if (control_.stop) return;
      stopwatch_.start();
      const int64_t count = batch.size(0);
      const at::Tensor samples = pictures_.index_select(0, batch);
      const at::Tensor noise = learner_.draw_noise(count, generator_);
      metrics_.add(step_(loader_->prepare(samples, epoch, noise)), count, count_labelled(batch));
      const StepSize size = config_.schedule(global_step_++, schedule_config_);
      for (size_t i = frozen; i < optimizers_.size(); ++i) optimizers_[i]->step(size);
      stopwatch_.lap(phases_.optimizer);
      ++control_.step;
    }
  }

  int64_t count_labelled(const at::Tensor& batch) const {
    if (all_labelled_) return batch.size(0);
    return labels_.index_select(0, batch).ne(no_label).sum().item<int64_t>();
  }

  // The part of a step that a GPU replays as a graph. -> batch_metrics()
  at::Tensor forward_backward(const BatchInputs& inputs) {
    const Batch batch = loader_->batch(inputs);
    stopwatch_.lap(phases_.gather);
    const at::Tensor logits = learner_.forward(batch);
    stopwatch_.lap(phases_.forward);
    const at::Tensor loss = config_.loss(logits, batch, loss_config_);
    stopwatch_.lap(phases_.loss);
    for (const auto& optimizer : optimizers_) optimizer->zero_grad();
    loss.backward();
    stopwatch_.lap(phases_.backward);
    return batch_metrics(loss, logits, batch.labels);
  }

  void validate() {
    const c10::NoGradGuard no_grad;
    learner_.begin_validation();
    for (const at::Tensor& samples : at::arange(val_count_, at::kLong).split(val_batch_size_)) {
      if (control_.stop) return;
      const BatchInputs inputs = val_loader_->prepare(samples, /*epoch=*/1, /*noise=*/{});
      metrics_.add(val_step_(inputs), samples.size(0), samples.size(0));
      ++control_.step;
    }
  }

  at::Tensor evaluate(const BatchInputs& inputs) const {
    const Batch batch = val_loader_->batch(inputs);
    const at::Tensor logits = learner_.evaluate(batch.images);
    const at::Tensor loss = at::cross_entropy_loss(logits, batch.labels);
    return batch_metrics(loss, logits, batch.labels,
                         config_.agreement ? batch.teacher_logits : at::Tensor());
  }

  // first: the validation's first batch in the metrics.
  void report_validation(EpochReport& report, int64_t first) const {
    report.val = metrics_.average(first, metrics_.batches());
    if (config_.agreement) report.val_agreement = metrics_.agreement(first, metrics_.batches());
  }

  const TrainConfig& config_;
  Learner& learner_;
  at::Generator generator_;
  TrainingControl& control_;
  at::Device device_;
  at::Tensor pictures_, labels_;  // (n) int64: the samples to learn from, and their labels
  bool all_labelled_;
  int64_t used_count_, val_count_;  // pictures
  int64_t val_batch_size_;
  int64_t steps_, val_steps_;  // of an epoch
  ScheduleConfig schedule_config_;
  LossConfig loss_config_;  // on the device
  Normalizer normalize_;
  std::vector<std::unique_ptr<Optimizer>> optimizers_;  // one for each parameter group
  std::unique_ptr<BatchLoader> loader_, val_loader_;
  EpochMetrics metrics_;  // the steps', then the validation's
  ReplayedStep step_, val_step_;
  std::optional<size_t> frozen_groups_;  // in the epoch before
  int64_t global_step_ = 0;
  Stopwatch stopwatch_;
  PhaseSeconds phases_;
};

}  // namespace

TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, Learner& learner, at::Generator generator,
                  const Compute& compute, TrainingControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch) {
  Training training(store, preprocessing, config, learner, std::move(generator), compute, control);
  BestNetwork best(config, learner.network());
  TrainResult result;
  if (!config.start.empty()) {
    const std::optional<EpochReport> report = training.validate_start();
    if (!report) {
      result.stop_reason = StopReason::stopped;
      return result;
    }
    best.start_from(*report);
    on_epoch(*report);
  }
  for (int64_t epoch = 1; epoch <= config.epochs; ++epoch) {
    std::optional<EpochReport> report = training.run_epoch(epoch);
    if (!report) {
      result.stop_reason = StopReason::stopped;
      break;
    }
    best.offer(*report);
    result.last = report;
    on_epoch(*report);
    if (config.early_stop && leaves_nothing(report->val)) {
      result.stop_reason = StopReason::early_stop;
      break;
    }
  }
  result.best = best.report();
  return result;
}

}  // namespace distill
