#include "core/train.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <chrono>
#include <cmath>
#include <sstream>
#include <utility>

#include "core/adam.h"
#include "core/checkpoint/writer.h"
#include "core/distillation_loss.h"
#include "core/error.h"
#include "core/models/weights.h"
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

Student make_student(const TrainConfig& config, int64_t classes, at::Generator generator) {
  Student student(classes, config.drop_rate);
  if (config.initial_student.empty()) {
    student.initialize(std::move(generator));
  } else {
    load_weights(student.state(), Checkpoint::open(config.initial_student),
                 "a student with " + std::to_string(classes) + " classes");
  }
  return student;
}

void save(const Student& student, const TrainConfig& config, const EpochReport& report) {
  // The caller's metadata with what only the training knows: a JSON object, extended at its end.
  std::ostringstream metadata;
  metadata.precision(17);
  metadata << config.metadata.substr(0, config.metadata.rfind('}'))
           << (config.metadata.find(':') == std::string::npos ? "" : ",")
           << "\"epoch\":" << report.epoch << ",\"metrics\":{\"trainLoss\":" << report.train.loss
           << ",\"trainAccuracy\":" << report.train.accuracy << ",\"valLoss\":" << report.val.loss
           << ",\"valAccuracy\":" << report.val.accuracy << "}}";
  write_checkpoint(config.student_path, format_of(config.student_path), student.state(),
                   metadata.str());
}

Metrics validate(const Student& student, const Split& val, const Normalizer& normalize,
                 int64_t batch_size, at::Device device, RunControl& control) {
  const c10::NoGradGuard no_grad;
  Average average;
  for (int64_t first = 0; first < val.count && !control.stop; first += batch_size) {
    const int64_t count = std::min(batch_size, val.count - first);
    const at::Tensor labels = val.labels.narrow(0, first, count).to(device);
    const at::Tensor logits = student.forward(normalize(val.pixels.narrow(0, first, count)));
    average.add(at::cross_entropy_loss(logits, labels).item<double>(), logits, labels);
    ++control.step;
  }
  return average.metrics();
}

}  // namespace

TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, const Compute& compute, RunControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch) {
  const Split& data = store.train();
  const at::Device device = compute.device;
  at::Generator generator = at::detail::createCPUGenerator(config.seed);
  Student student = make_student(config, store.shape().classes, generator);
  move_weights(student.state(), device);
  Adam adam(student.parameters(), config.learning_rate);
  const Normalizer normalize(preprocessing, device, compute.dtype);
  const auto batches = [&](int64_t n) { return (n + config.batch_size - 1) / config.batch_size; };
  control.steps = batches(data.count) + batches(store.val().count);

  TrainResult result;
  Metrics best{/*loss=*/100, /*accuracy=*/0};  // the reference's start: the first epoch beats it
  for (int64_t epoch = 1; epoch <= config.epochs; ++epoch) {
    control.epoch = epoch;
    control.step = 0;
    EpochReport report{epoch};

    Stopwatch of_epoch;
    const at::Tensor order = config.shuffle ? at::randperm(data.count, generator, at::kLong)
                                            : at::arange(data.count, at::kLong);
    Average average;
    for (const at::Tensor& indices : order.split(config.batch_size)) {
      if (control.stop) break;
      Stopwatch of_step;
      const at::Tensor images = normalize(data.pixels, indices);
      const at::Tensor labels = data.labels.index_select(0, indices).to(device);
      const at::Tensor teacher_logits = data.teacher_logits.index_select(0, indices).to(device);
      report.phases.gather += of_step.lap();

      const at::Tensor logits = student.forward(images, generator);
      report.phases.forward += of_step.lap();
      const at::Tensor loss =
          distillation_loss(logits, teacher_logits, labels, config.temperature, config.alpha);
      report.phases.loss += of_step.lap();

      adam.zero_grad();
      loss.backward();
      report.phases.backward += of_step.lap();
      adam.step();

      report.step_losses.push_back(loss.item<double>());
      average.add(report.step_losses.back(), logits, labels);
      report.phases.optimizer += of_step.lap();
      ++control.step;
    }
    report.train = average.metrics();
    report.train_seconds = of_epoch.lap();

    report.val = validate(student, store.val(), normalize, config.batch_size, device, control);
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

    const bool early_stop = report.val.loss < 0.0001 || report.val.accuracy > 0.9999;
    const bool better = report.val.accuracy > best.accuracy && report.val.loss < best.loss;
    // The last chance of a run that never beat the start: its student is kept all the same.
    const bool only = !result.best && epoch == config.epochs;
    if (better || early_stop || only) {
      save(student, config, report);
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
