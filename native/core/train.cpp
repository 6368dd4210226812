#include "core/train.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <chrono>
#include <cmath>
#include <sstream>
#include <utility>

#include "core/adam.h"
#include "core/checkpoint/writer.h"
#include "core/error.h"
#include "core/normalize.h"

namespace distill {
namespace {

class Stopwatch {
 public:
  // Seconds since the start or the last lap.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Weighs each batch by its size; the last one may be smaller.
class Average {
 public:
  void add(double loss, const at::Tensor& logits, const at::Tensor& labels) {
    const auto batch = static_cast<double>(labels.size(0));
    loss_ += loss * batch;
    correct_ += logits.argmax(1).eq(labels).sum().item<double>();
    count_ += batch;
  }
  Metrics metrics() const { return {loss_ / count_, correct_ / count_}; }

 private:
  double loss_ = 0, correct_ = 0, count_ = 0;
};

void save(const StateDict& state, const TrainConfig& config, const EpochReport& report) {
  // The caller's metadata with what only the training knows: a JSON object, extended at its end.
  std::ostringstream metadata;
  metadata.precision(17);
  metadata << config.metadata.substr(0, config.metadata.rfind('}'))
           << (config.metadata.find(':') == std::string::npos ? "" : ",")
           << "\"epoch\":" << report.epoch << ",\"metrics\":{\"trainLoss\":" << report.train.loss
           << ",\"trainAccuracy\":" << report.train.accuracy << ",\"valLoss\":" << report.val.loss
           << ",\"valAccuracy\":" << report.val.accuracy << "}}";
  write_checkpoint(config.path, format_of(config.path), state, metadata.str());
}

void validate(const Learner& learner, const Split& val, const Normalizer& normalize,
              const TrainConfig& config, at::Device device, RunControl& control,
              EpochReport& report) {
  const c10::NoGradGuard no_grad;
  const Learner::Evaluation evaluate = learner.evaluation();
  Average average;
  int64_t agreeing = 0;
  for (int64_t first = 0; first < val.count && !control.stop; first += config.batch_size) {
    const int64_t count = std::min(config.batch_size, val.count - first);
    const at::Tensor labels = val.labels.narrow(0, first, count).to(device);
    const at::Tensor logits = evaluate(normalize(val.pixels.narrow(0, first, count)));
    average.add(at::cross_entropy_loss(logits, labels).item<double>(), logits, labels);
    if (config.agreement) {
      const at::Tensor teacher = val.teacher_logits.narrow(0, first, count).argmax(1);
      agreeing += logits.argmax(1).to(at::kCPU).eq(teacher).sum().item<int64_t>();
    }
    ++control.step;
  }
  report.val = average.metrics();
  if (config.agreement) {
    report.val_agreement = static_cast<double>(agreeing) / static_cast<double>(val.count);
  }
}

// Puts batches of the training pictures together: of several views of a picture each epoch shows
// one, in turn.
class Gatherer {
 public:
  Gatherer(const SampleStore& store, const TrainConfig& config, const Preprocessing& preprocessing,
           const Normalizer& normalize, at::Device device)
      : data_(store.train()),
        config_(config),
        size_(preprocessing.image_size),
        normalize_(normalize),
        device_(device) {}

  Batch operator()(const at::Tensor& samples, int64_t epoch) const {
    const at::Tensor rows = samples * data_.views + (epoch - 1) % data_.views;
    return {images(rows, epoch), data_.labels.index_select(0, samples).to(device_),
            data_.teacher_logits.index_select(0, rows).to(device_)};
  }

 private:
  at::Tensor images(const at::Tensor& rows, int64_t epoch) const {
    if (config_.augmentation == Augmentation()) return normalize_(data_.pixels, rows);
    std::vector<Window> windows;
    for (int64_t i = 0; i < rows.size(0); ++i) {
      windows.push_back(draw_window(config_.augmentation, data_.pixels.size(1), size_, config_.seed,
                                    epoch, rows.const_data_ptr<int64_t>()[i]));
    }
    return normalize_(data_.pixels, rows, windows, size_);
  }

  const Split& data_;
  const TrainConfig& config_;
  int64_t size_;
  const Normalizer& normalize_;
  at::Device device_;
};

}  // namespace

Metrics validate_teacher(const Split& val) {
  const at::Tensor logits = val.teacher_logits.narrow(0, 0, val.count);
  const at::Tensor labels = val.labels.narrow(0, 0, val.count);
  Average average;
  average.add(at::cross_entropy_loss(logits, labels).item<double>(), logits, labels);
  return average.metrics();
}

TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, Learner& learner, at::Generator generator,
                  const Compute& compute, RunControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch) {
  const int64_t pictures = store.train().count, last_batch = pictures % config.batch_size;
  // A last batch that is too small for the learner is left out.
  const int64_t shown = last_batch < learner.smallest_batch() ? pictures - last_batch : pictures;
  const auto batches = [&](int64_t n) { return (n + config.batch_size - 1) / config.batch_size; };
  control.steps = batches(shown) + batches(store.val().count);

  std::vector<Adam> optimizers;
  for (const auto& group : learner.parameter_groups()) {
    optimizers.emplace_back(group, config.weight_decay);
  }
  const auto steps = static_cast<double>(batches(shown));
  const Schedule schedule(config.schedule, config.learning_rate, config.epochs * batches(shown),
                          std::llround(config.warmup_epochs * steps));
  const Normalizer normalize(preprocessing, compute.device, compute.dtype);
  const Gatherer gather(store, config, preprocessing, normalize, compute.device);

  TrainResult result;
  std::optional<Metrics> best;
  int64_t step = 0;
  for (int64_t epoch = 1; epoch <= config.epochs; ++epoch) {
    control.epoch = epoch;
    control.step = 0;
    EpochReport report{epoch};

    Stopwatch of_epoch;
    const size_t resting = learner.begin_epoch(epoch);
    const at::Tensor order = config.shuffle ? at::randperm(pictures, generator, at::kLong)
                                            : at::arange(pictures, at::kLong);
    Average average;
    for (const at::Tensor& samples : order.narrow(0, 0, shown).split(config.batch_size)) {
      if (control.stop) break;
      Stopwatch of_step;
      const Batch batch = gather(samples, epoch);
      report.phases.gather += of_step.lap();

      const at::Tensor logits = learner.forward(batch.images, generator);
      report.phases.forward += of_step.lap();
      const at::Tensor loss = learner.loss(logits, batch);
      report.phases.loss += of_step.lap();

      for (Adam& optimizer : optimizers) optimizer.zero_grad();
      loss.backward();
      report.phases.backward += of_step.lap();
      for (size_t i = resting; i < optimizers.size(); ++i) optimizers[i].step(schedule.at(step));
      ++step;

      report.step_losses.push_back(loss.item<double>());
      average.add(report.step_losses.back(), logits, batch.labels);
      report.phases.optimizer += of_step.lap();
      ++control.step;
    }
    report.train = average.metrics();
    report.train_seconds = of_epoch.lap();

    validate(learner, store.val(), normalize, config, compute.device, control, report);
    report.val_seconds = of_epoch.lap();
    if (control.stop) {  // an epoch cut short has no averages to report
      result.ending = Ending::stopped;
      break;
    }
    if (!std::isfinite(report.train.loss) || !std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the loss is no longer a finite number in epoch " +
                                        std::to_string(epoch) + "; lower lr (it is " +
                                        std::to_string(config.learning_rate) + ")");
    }

    const bool early_stop = learner.is_done(report.val);
    const bool better = learner.improves(report.val, best);
    // The last chance of a run that never beat the start: its network is kept all the same.
    const bool only = !result.best && epoch == config.epochs;
    if (better || early_stop || only) {
      if (!config.path.empty()) save(learner.state(), config, report);
      report.saved = true;
      result.best = report;
    }
    if (better) best = report.val;
    result.last = report;
    on_epoch(report);
    if (early_stop) {
      result.ending = Ending::early_stop;
      break;
    }
  }
  return result;
}

}  // namespace distill
