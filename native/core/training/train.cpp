#include "core/training/train.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <utility>

#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/writer.h"
#include "core/data/normalize.h"
#include "core/device/graph.h"
#include "core/device/marks.h"
#include "core/error.h"
#include "core/nn/weights.h"
#include "core/training/adam.h"
#include "core/training/feeder.h"
#include "core/training/tally.h"

namespace distill {
namespace {

class Stopwatch {
 public:
  // Since the last call.
  double seconds() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Refuses to replace what is no network of this kind that a run wrote: it has come there since the
// caller looked.
void refuse_others(const std::string& path, const StateDict& state) {
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return;
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    const auto is_in_file = [&](const auto& entry) { return checkpoint.find(entry.first); };
    if (checkpoint.record(metadata_record) && std::all_of(state.begin(), state.end(), is_in_file)) {
      return;
    }
  } catch (const Error&) {
  }
  throw Error("ERR_EXISTS", "'" + path +
                                "' has come there since the run began, and is not replaced: move "
                                "it away, or name another file to write to");
}

void save(const StateDict& state, const TrainConfig& config, const EpochReport& report) {
  if (!config.overwrite) refuse_others(config.path, state);
  // The caller's metadata with what only the training knows: a JSON object, extended at its end.
  std::ostringstream metadata;
  metadata.precision(17);
  metadata << config.metadata.substr(0, config.metadata.rfind('}'))
           << (config.metadata.find(':') == std::string::npos ? "" : ",")
           << "\"epoch\":" << report.epoch << ",\"metrics\":{";
  if (report.epoch > 0) {
    metadata << "\"trainLoss\":" << report.train.loss
             << ",\"trainAccuracy\":" << report.train.accuracy << ',';
  }
  metadata << "\"valLoss\":" << report.val.loss << ",\"valAccuracy\":" << report.val.accuracy
           << "}}";
  write_checkpoint(config.path, format_of(config.path), on_host(state), metadata.str());
}

// Whether two paths lead to the same file.
bool is_same_file(const std::string& one, const std::string& other) {
  std::error_code missing;
  return std::filesystem::equivalent(one, other, missing);
}

void validate(Learner& learner, Feeder& feed, ReplayedStep& step,
              const std::vector<at::Tensor>& batches, RunControl& control, Tally& tally) {
  const c10::NoGradGuard no_grad;
  learner.begin_validation();
  for (const at::Tensor& samples : batches) {
    if (control.stop) break;
    tally.add(step(feed.draw(samples, /*epoch=*/1, /*noise=*/{})), samples.size(0));
    ++control.step;
  }
}

}  // namespace

TeacherScores validate_teacher(const Split& split) {
  // Rows at once: the softmax of all would take as much memory as the logits.
  constexpr int64_t most_rows = 1 << 14;
  const at::Tensor labels = split.labels.narrow(0, 0, split.count);
  const auto logits = split.teacher_logits.narrow(0, 0, split.count * split.views).split(most_rows);
  const auto right = labels.repeat_interleave(split.views).split(most_rows);
  Tally tally(static_cast<int64_t>(logits.size()), at::kCPU);
  for (size_t i = 0; i < logits.size(); ++i) {
    const at::Tensor loss = at::cross_entropy_loss(logits[i], right[i]);
    tally.add(outcome_of(loss, logits[i], right[i]), logits[i].size(0));
  }
  tally.read();
  const auto [pictures, label] = at::bincount(labels).max(0);
  const double share = pictures.item<double>() / static_cast<double>(split.count);
  return {tally.metrics(0, tally.batches()), label.item<int64_t>(), share};
}

TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, Learner& learner, at::Generator generator,
                  const Compute& compute, RunControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch) {
  const int64_t pictures = store.train().count, last_batch = pictures % config.batch_size;
  // A last batch that is too small for the learner is left out.
  const int64_t shown = last_batch < learner.smallest_batch() ? pictures - last_batch : pictures;
  const int64_t size = preprocessing.image_size;
  const int64_t val_batch = compute.device.is_cpu()
                                ? config.batch_size
                                : std::max(config.batch_size, evaluation_batch(size));
  const auto batches = [](int64_t n, int64_t of) { return (n + of - 1) / of; };
  const int64_t steps = batches(shown, config.batch_size);
  control.steps = steps + batches(store.val().count, val_batch);

  std::vector<Adam> optimizers;
  for (const auto& group : learner.parameter_groups()) {
    optimizers.emplace_back(group, config.weight_decay);
  }
  const Schedule schedule(config.schedule, config.learning_rate, config.epochs * steps,
                          std::llround(config.warmup_epochs * static_cast<double>(steps)));
  const Normalizer normalize(preprocessing, compute.device, compute.dtype);
  const auto feed =
      make_feeder({store.train(), size, config.batch_size, config.augmentation, config.seed},
                  normalize, compute.device);
  const auto val_feed = make_feeder({store.val(), size, val_batch, Augmentation(), /*seed=*/0},
                                    normalize, compute.device);

  Stopwatch lap;
  PhaseSeconds phases;
  ReplayedStep step(compute.device, [&](const Feeder::Draw& draw) {
    const Batch batch = feed->batch(draw);
    phases.gather += lap.seconds();
    const at::Tensor logits = learner.forward(batch);
    phases.forward += lap.seconds();
    const at::Tensor loss = learner.loss(logits, batch);
    phases.loss += lap.seconds();
    for (Adam& optimizer : optimizers) optimizer.zero_grad();
    loss.backward();
    phases.backward += lap.seconds();
    return outcome_of(loss, logits, batch.labels);
  });
  ReplayedStep val_step(compute.device, [&](const Feeder::Draw& draw) {
    const Batch batch = val_feed->batch(draw);
    const at::Tensor logits = learner.evaluate(batch.images);
    return outcome_of(at::cross_entropy_loss(logits, batch.labels), logits, batch.labels,
                      config.agreement ? batch.teacher_logits : at::Tensor());
  });

  TrainResult result;
  Tally tally(control.steps, compute.device);
  std::optional<Metrics> best;
  std::optional<size_t> rested;
  int64_t taken = 0;
  const auto val_batches = at::arange(store.val().count, at::kLong).split(val_batch);
  if (!config.start.empty()) {
    EpochReport report;
    Marks marks(compute.device);
    marks.mark();
    validate(learner, *val_feed, val_step, val_batches, control, tally);
    marks.mark();
    if (control.stop) {
      result.stop_reason = StopReason::stopped;
      return result;
    }
    tally.read();
    report.val = tally.metrics(0, tally.batches());
    if (config.agreement) report.val_agreement = tally.agreement(0, tally.batches());
    report.val_seconds = marks.seconds(0, 1);
    if (!std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the validation loss of '" + config.start +
                                        "' is not a finite number; check mean and std, or start "
                                        "from another file");
    }
    best = report.val;
    if (!config.path.empty() && !is_same_file(config.start, config.path)) {
      save(learner.state(), config, report);
    }
    on_epoch(report);
  }
  for (int64_t epoch = 1; epoch <= config.epochs; ++epoch) {
    control.epoch = epoch;
    control.step = 0;
    tally.clear();
    phases = {};
    Marks marks(compute.device);
    marks.mark();

    const size_t resting = learner.begin_epoch(epoch);
    if (std::exchange(rested, resting) != resting) step.forget();
    const at::Tensor order = config.shuffle ? at::randperm(pictures, generator, at::kLong)
                                            : at::arange(pictures, at::kLong);
    for (const at::Tensor& samples : order.narrow(0, 0, shown).split(config.batch_size)) {
      if (control.stop) break;
      lap.seconds();
      const auto draw = feed->draw(samples, epoch, learner.draw_noise(samples.size(0), generator));
      tally.add(step(draw), samples.size(0));
      for (size_t i = resting; i < optimizers.size(); ++i) optimizers[i].step(schedule.at(taken));
      ++taken;
      phases.optimizer += lap.seconds();
      ++control.step;
    }
    marks.mark();
    validate(learner, *val_feed, val_step, val_batches, control, tally);
    marks.mark();
    if (control.stop) {  // an epoch cut short has no averages to report
      result.stop_reason = StopReason::stopped;
      break;
    }

    tally.read();  // the one time in an epoch that the host waits for the device
    EpochReport report{epoch, tally.metrics(0, steps), tally.metrics(steps, tally.batches())};
    if (config.agreement) report.val_agreement = tally.agreement(steps, tally.batches());
    report.step_losses = tally.losses(0, steps);
    report.train_seconds = marks.seconds(0, 1);
    report.val_seconds = marks.seconds(1, 2);
    report.phases = phases;
    if (!std::isfinite(report.train.loss) || !std::isfinite(report.val.loss)) {
      throw Error("ERR_NOT_FINITE", "the loss is no longer a finite number in epoch " +
                                        std::to_string(epoch) + "; lower lr (it is " +
                                        std::to_string(config.learning_rate) + ")");
    }

    const bool early_stop = learner.is_done(report.val);
    const bool better = learner.improves(report.val, best);
    // The last chance of a run that never beat an untrained network: its own is kept all the same.
    const bool only = !best && !better && epoch == config.epochs;
    if (better || only) {
      if (!config.path.empty()) save(learner.state(), config, report);
      report.saved = true;
      result.best = report;
    }
    if (better) best = report.val;
    result.last = report;
    on_epoch(report);
    if (early_stop) {
      result.stop_reason = StopReason::early_stop;
      break;
    }
  }
  return result;
}

}  // namespace distill
