#include "core/training/train.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "core/device/graph.h"
#include "core/device/timer.h"
#include "core/error.h"
#include "core/training/batch_loader.h"
#include "core/training/metrics.h"
#include "core/training/optimizer.h"
#include "core/training/record.h"
#include "core/training/state.h"

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
    metrics_.clear();
    if (!std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the validation loss of '" + config_.start +
                                        "' is not a finite number; check mean and std, or start "
                                        "from another file");
    }
    return report;
  }

  // The epoch that comes next, or is under way.
  int64_t epoch() const { return epoch_; }

  // Trains and validates; nothing where it is stopped, as an epoch cut short has no averages.
  // `after_step` is called behind each step.
  std::optional<EpochReport> run_epoch(const std::function<void()>& after_step) {
    control_.epoch = epoch_;
    control_.step = done_;
    phases_ = {};
    DeviceTimer timer(device_);
    timer.mark();
    epoch_clock_ = Clock::now();
    train_epoch(after_step);
    timer.mark();
    validate();
    timer.mark();
    if (control_.stop) return std::nullopt;

    metrics_.read();  // the one time in an epoch that the host waits for the device
    EpochReport report;
    report.epoch = epoch_;
    report.train = metrics_.average(0, steps_);
    report.step_losses = metrics_.losses(0, steps_);
    report.train_seconds = seconds_before_ + timer.seconds(0, 1);
    report.phases = phases_;
    report_validation(report, /*first=*/steps_);
    report.val_seconds = timer.seconds(1, 2);
    if (!std::isfinite(report.train.loss) || !std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the loss is no longer a finite number in epoch " +
                                        std::to_string(epoch_) + "; lower lr (it is " +
                                        std::to_string(config_.learning_rate) + ")");
    }
    ++epoch_;
    done_ = 0;
    seconds_before_ = 0;
    order_.reset();
    metrics_.clear();
    return report;
  }

  // What it needs to go on from here, between two steps; its tensors are the training's own.
  TrainingState state() const {
    TrainingState state;
    state.epoch = epoch_;
    state.step = done_;
    state.order = order_;
    if (done_ > 0) {
      state.train_seconds = seconds_before_ + seconds_since(epoch_clock_);
      state.metrics = metrics_.rows().narrow(0, 0, done_);
    }
    state.network = learner_.network().state();
    for (const auto& optimizer : optimizers_) state.optimizers.push_back(optimizer->state());
    state.generator = generator_.get_state();
    return state;
  }

  // Goes on from a state. Throws ERR_STATE where it is that of another training.
  void restore(const TrainingState& state) {
    const c10::NoGradGuard no_grad;
    take_over(state.network, learner_.network().state(), "the network");
    if (state.optimizers.size() != optimizers_.size()) refuse_state("its optimizers");
    for (size_t i = 0; i < optimizers_.size(); ++i) {
      take_over(state.optimizers[i], optimizers_[i]->state(), "the optimizer");
    }
    if (state.step > steps_) refuse_state("its steps");
    if (state.order.defined()) {
      const at::Tensor& order = state.order;
      const bool is_order = order.numel() == used_count_ && order.min().item<int64_t>() >= 0 &&
                            order.max().item<int64_t>() < labels_.size(0);
      if (!is_order) refuse_state("its order of the pictures");
      order_ = order;
    }
    if (state.step > 0) metrics_.restore(state.metrics);
    try {
      generator_.set_state(state.generator);
    } catch (const c10::Error&) {
      refuse_state("its random numbers");
    }
    epoch_ = state.epoch;
    done_ = state.step;
    seconds_before_ = state.train_seconds;
    global_step_ = (epoch_ - 1) * steps_ + done_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds_since(Clock::time_point before) {
    return std::chrono::duration<double>(Clock::now() - before).count();
  }

  [[noreturn]] static void refuse_state(const std::string& what) {
    throw Error("ERR_STATE",
                "the state is that of another training, by " + what + "; start the run anew");
  }

  void train_epoch(const std::function<void()>& after_step) {
    const size_t frozen = learner_.begin_epoch(epoch_);
    if (std::exchange(frozen_groups_, frozen) != frozen) step_.forget();
    if (!order_.defined()) order_ = config_.sampler(labels_, generator_).narrow(0, 0, used_count_);
    const std::vector<at::Tensor> batches = order_.split(config_.batch_size);
    while (done_ < steps_ && !control_.stop) {
      stopwatch_.start();
      const at::Tensor& batch = batches[done_];
      const int64_t count = batch.size(0);
      const at::Tensor samples = pictures_.index_select(0, batch);
      const at::Tensor noise = learner_.draw_noise(count, generator_);
      metrics_.add(step_(loader_->prepare(samples, epoch_, noise)), count, count_labelled(batch));
      const StepSize size = config_.schedule(global_step_++, schedule_config_);
      for (size_t i = frozen; i < optimizers_.size(); ++i) optimizers_[i]->step(size);
      stopwatch_.lap(phases_.optimizer);
      control_.step = ++done_;
      after_step();
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
  int64_t epoch_ = 1;
  at::Tensor order_;  // of the epoch's pictures; undefined before its first step
  int64_t done_ = 0;  // steps of the epoch
  int64_t global_step_ = 0;
  double seconds_before_ = 0;  // of the epoch's steps, before an interruption
  Clock::time_point epoch_clock_;
  Stopwatch stopwatch_;
  PhaseSeconds phases_;
};

}  // namespace

TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, Learner& learner, at::Generator generator,
                  const Compute& compute, TrainingControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch) {
  Training training(store, preprocessing, config, learner, std::move(generator), compute, control);
  TrainingRecord record(config, learner.network());
  if (config.keep.resume) {
    const TrainingState state = read_state(config.keep.state);
    training.restore(state);
    record.resume(state);
  } else if (!config.start.empty()) {
    const std::optional<EpochReport> report = training.validate_start();
    if (!report) return record.result(StopReason::stopped);
    record.start_from(*report);
    on_epoch(*report);
  }
  while (training.epoch() <= config.epochs) {
    if (const auto reason = record.reason_to_stop()) return record.result(*reason);
    std::optional<EpochReport> report = training.run_epoch([&] {
      if (record.is_time_up()) control.stop = true;
      if (record.is_due()) record.keep(training.state());
    });
    if (!report) {
      if (record.is_kept()) record.keep(training.state());
      return record.result(record.is_time_up() ? StopReason::max_seconds : StopReason::stopped);
    }
    record.add(*report);
    if (record.is_kept()) record.keep_epoch(training.state());
    on_epoch(*report);
  }
  return record.result(record.reason_to_stop().value_or(StopReason::completed));
}

}  // namespace distill
