// Work on a device that is not the CPU, without such a device: on the stand-in of stand_in.h.
// Prints a line for each check: "ok …" or "FAILED …".

#include "stand_in.h"

#include <cstdio>
#include <functional>
#include <optional>
#include <set>
#include <sstream>

#include "core/device/graph.h"
#include "core/models/classifier.h"
#include "core/models/registry.h"
#include "core/nn/weights.h"
#include "core/parallel/openmp.h"
#include "core/training/learner.h"
#include "core/training/train.h"

namespace {

void check(bool ok, const std::string& name, const std::string& found = {}) {
  std::printf("%s %s%s%s\n", ok ? "ok" : "FAILED", name.c_str(), found.empty() ? "" : ": ",
              found.c_str());
}

constexpr int64_t pictures = 22, side = 32, classes = 3, batch = 4, epochs = 6;
constexpr int64_t steps = (pictures + batch - 1) / batch;

// labelled: the number of training pictures that have one.
SampleStore make_store(int64_t kept_side, int64_t labelled) {
  const StoreShape shape{side,
                         classes,
                         pictures,
                         pictures,
                         kept_side,
                         /*views=*/1,
                         /*has_teacher=*/1};
  SampleStore store = SampleStore::create(shape, {/*in_memory=*/true, "", ""});
  at::Generator generator = at::detail::createCPUGenerator(/*seed=*/5);
  for (const SplitName name : {SplitName::train, SplitName::val}) {
    std::vector<int32_t> labels, sources;
    for (int32_t i = 0; i < pictures; ++i) {
      const bool has_label = name == SplitName::val || i < labelled;
      labels.push_back(has_label ? i % classes : static_cast<int32_t>(no_label));
      sources.push_back(i);
    }
    const int64_t size = name == SplitName::train ? kept_side : side;
    const at::Tensor pixels = at::empty({pictures, size, size, 3}, at::kByte);
    store.append({name, pixels, labels.data(), sources.data(), /*answered=*/true, {}})
        .random_(256, generator);
    store.split(name).teacher_logits.normal_(0, 2, generator);
  }
  return store;
}

using MakeLearner = Learner(const at::Generator&, const Compute&);

Learner student(const at::Generator& generator, const Compute& compute) {
  const DistillConfig config{
      .architecture = "cnn", .width = 1, .drop_rate = 0.2, .initial_student = ""};
  return Learner(make_student(config, classes, generator).network, compute);
}

// A teacher whose features are frozen in the first epochs.
Learner teacher(const at::Generator& generator, const Compute& compute) {
  const TeachConfig config{
      .architecture = "densenet121", .weights = "", .keep_head = false, .freeze_epochs = 2};
  return Learner(make_teacher(config, classes, generator), compute, config.freeze_epochs);
}

struct Run {
  std::vector<double> losses;  // of all steps, and of the validations
  std::vector<Counts> epochs;
};

struct Training {
  MakeLearner* make = student;
  Augmentation augmentation{};
  int64_t kept_side = side;
  // The first losses and scores that are the CPU's, but for rounding.
  size_t alike = epochs * (steps + 3);
  Loss* loss = &distillation_loss;
  Sampler* sampler = &shuffle_sampler;
  int64_t labelled = pictures;
  double smoothing = 0;
  std::optional<at::Tensor> class_weights = std::nullopt;
};

Run run(at::Device device, const Training& training) {
  const SampleStore store = make_store(training.kept_side, training.labelled);
  const TrainConfig config{
      .epochs = epochs,
      .batch_size = batch,
      .sampler = training.sampler,
      .seed = 3,
      .learning_rate = 1e-4,
      .schedule = find_named(schedules(), "one-cycle").value(),
      .warmup_epochs = 0,
      .make_optimizer = find_named(optimizers(), "adamw").value(),
      .optimizer = {.weight_decay = 0.01},
      .loss = training.loss,
      .loss_config = {.temperature = 2,
                      .alpha = 0.7,
                      .label_smoothing = training.smoothing,
                      .class_weights = training.class_weights},
      .augmentation = training.augmentation,
      .monitor = Monitor::accuracy_and_loss,
      .early_stop = false,
      .patience = std::nullopt,
      .min_delta = 0,
      .max_seconds = std::nullopt,
      .elapsed = 0,
      .paths = {},
      .keep = {},
      .start = "",
      .overwrite = false,
      .metadata = {},
      .agreement = true,
  };
  const Compute compute{device};
  use_device(device);
  at::Generator generator = at::detail::createCPUGenerator(config.seed);
  Learner learner = training.make(generator, compute);
  TrainingControl control;
  Run result;
  counts = {};
  train(store, {side, {0.5, 0.4, 0.3}, {0.2, 0.25, 0.3}}, config, learner, generator, compute,
        control, [&](const EpochReport& report) {
          result.losses.insert(result.losses.end(), report.step_losses.begin(),
                               report.step_losses.end());
          result.losses.insert(result.losses.end(), {report.val.loss, report.val.accuracy,
                                                     report.val_agreement.value_or(-1)});
          result.epochs.push_back(std::exchange(counts, {}));
        });
  return result;
}

double difference(const Run& some, const Run& others, size_t alike) {
  if (some.losses.size() != others.losses.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < alike; ++i) {
    most = std::max(most, std::abs(some.losses[i] - others.losses[i]));
  }
  return most;
}

std::string text(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

Run compare(const std::string& name, const Training& training) {
  const bool graphs = at::has_graph_impl(at::kPrivateUse1);
  const Run on_cpu = run(at::kCPU, training);
  const Run there = run(stand_in, training);
  const double apart = difference(on_cpu, there, training.alike);
  // Other kernels of the CPU, which sum in other orders; another picture, window or dropout is
  // seen.
  check(apart < 1e-3, name + " trains as on the CPU", text(apart));

  int64_t refused = 0;
  for (const Counts& epoch : there.epochs) refused += epoch.refused;
  check(refused == 0, name + " does nothing that a capture refuses", text(refused));
  const Counts &last = there.epochs[epochs - 1], &before = there.epochs[epochs - 2];
  check(last.allocations == before.allocations && last.kernels == before.kernels,
        name + " does the same work in each epoch",
        text(last.allocations) + " allocations, " + text(last.kernels) + " kernels");
  constexpr int64_t full_batches = pictures / batch + 1;  // with the validation's one batch
  // A replayed step takes memory for what the host tells the device alone, four tensors at most,
  // and queues copies of these and of the outcome, and the optimizer's two kernels for each of two
  // groups.
  for (const auto& [allocations, kernels] : last.between) {
    check(allocations <= 4 && kernels <= 4 + 1 + 2 * 2, name + " takes no memory in a step",
          text(allocations) + " for what it is told, " + text(kernels) + " kernels");
  }
  check(last.replays == (graphs ? full_batches : 0), name + " replays all full batches",
        text(last.replays));
  return there;
}

// Not in the first epoch, in which weights and pictures go to the device.
void check_waits(const std::string& name, const std::vector<int64_t>& expected) {
  const Run result = run(stand_in, {});
  for (size_t i = 0; i < expected.size(); ++i) {
    const int64_t waits = result.epochs[i + 1].waits;
    check(waits == expected[i],
          name + " waits " + text(expected[i]) + " times in epoch " + text(i + 2), text(waits));
  }
}

std::vector<Run> compare_all(const std::string& name) {
  constexpr auto random = Augmentation::Crop::random, resized = Augmentation::Crop::resized;
  // The whole network's first two steps. Then its BatchNorms, which see as few as two values of a
  // channel, have made the kernels' rounding large.
  constexpr size_t alike = 2 * (steps + 3) + 2;
  return {compare(name + ", pictures as they are", {}),
          compare(name + ", random crops", {student, {random, 0.08, true}, 40}),
          compare(name + ", shifts", {student, {random, 0.08, true}}),
          compare(name + ", resized crops", {student, {resized, 0.08, true}, 40}),
          // Some batches have no label at all.
          compare(name + ", few labels", {.sampler = &balanced_sampler, .labelled = 6}),
          compare(name + ", a teacher", {teacher,
                                         {random, 0.08, true},
                                         40,
                                         alike,
                                         &cross_entropy_loss,
                                         &shuffle_sampler,
                                         pictures,
                                         /*smoothing=*/0.1,
                                         at::tensor({0.5F, 2.0F, 1.0F})})};
}

// A network with fresh weights, to be asked.
std::unique_ptr<Evaluator> fresh(const std::string& architecture, const Compute& compute) {
  const auto network = find_architecture(architecture).create({classes, /*drop_rate=*/0});
  network->initialize(at::detail::createCPUGenerator(/*seed=*/7));
  return network->evaluator(compute);
}

// Asks a model about batches, of which the last one is smaller.
void ask(const std::string& name, const std::string& architecture) {
  const Preprocessing preprocessing{side, {0.5, 0.4, 0.3}, {0.2, 0.25, 0.3}};
  const at::Tensor pixels = at::empty({pictures, side, side, 3}, at::kByte)
                                .random_(256, at::detail::createCPUGenerator(/*seed=*/6));
  const auto answers = [&](at::Device device) {
    const Compute compute{device};
    use_device(device);
    Classifier classifier(fresh(architecture, compute), preprocessing, compute);
    counts = {};
    std::vector<at::Tensor> logits;
    for (const at::Tensor& some : pixels.split(batch)) logits.push_back(classifier.logits(some));
    return at::cat(logits);
  };
  const at::Tensor expected = answers(at::kCPU), found = answers(stand_in);
  const double apart = (found - expected).abs().max().item<double>();
  check(apart < 1e-4 * expected.abs().max().item<double>(), name + " says what it says on the CPU",
        text(apart));
  constexpr int64_t full = pictures / batch;
  check(counts.waits == full + 1, name + " waits once a batch, for its logits", text(counts.waits));
  const int64_t replays = at::has_graph_impl(at::kPrivateUse1) ? full - 3 : 0;
  check(counts.replays == replays, name + " replays all warm, full batches", text(counts.replays));
}

// A step that a capture refuses, as it reads a value: it goes on as it began.
void refuse_to_capture() {
  use_device(stand_in);
  ReplayedStep step(stand_in, [](const ReplayedStep::Inputs& inputs) {
    return inputs[0] * inputs[0].sum().item<float>();
  });
  const at::Tensor ones = at::ones({3}).to(stand_in);
  counts = {};
  bool right = true;
  for (int64_t i = 1; i <= 6; ++i) {
    const at::Tensor found = step({ones * i}).to(at::kCPU);
    right = right && at::equal(found, at::full({3}, 3.0 * static_cast<double>(i * i)));
  }
  check(right && counts.refused == 1 && counts.replays == 0,
        "a step that cannot be captured is tried once, and run each time", text(counts.refused));
}

// The same kernels on the same numbers.
void check_equal(const std::string& name, const std::vector<Run>& some,
                 const std::vector<Run>& others) {
  for (size_t i = 0; i < some.size(); ++i) {
    const double apart = difference(some[i], others[i], some[i].losses.size());
    check(apart < 1e-6, name + " trains as step by step", text(apart));
  }
}

}  // namespace

int main() {
  // As in the addon: the threads are its own.
  replace_openmp();
  const TeamLeader leader;
  static Memory memory;
  static Hooks hooks;
  c10::register_privateuse1_backend("standin");
  c10::SetAllocator(at::kPrivateUse1, &memory);
  at::RegisterPrivateUse1HooksInterface(&hooks);

  const auto by_step = compare_all("step by step");
  check_waits("step by step", {1, 1, 1, 1, 1});
  ask("a student, step by step", "cnn");
  ask("a teacher, step by step", "densenet121");

  at::GraphImplRegistry()->Register(
      c10::DeviceTypeName(at::kPrivateUse1, false),
      [](const at::GraphImplArgs& args) -> std::unique_ptr<at::GraphImplInterface> {
        return std::make_unique<StandInGraph>(args);
      });
  check_equal("by graph", compare_all("by graph"), by_step);
  check_waits("by graph", {1, 1, 1, 1, 1});
  ask("a student, by graph", "cnn");
  ask("a teacher, by graph", "densenet121");
  refuse_to_capture();

  // Also for the copy before in the place that each of the six training batches takes. Of the three
  // places of the validation's one batch the first is taken again in the fourth epoch.
  free_memory = 1000;
  check_equal("by graph from the host's memory", compare_all("by graph from the host's memory"),
              by_step);
  check_waits("by graph from the host's memory", {7, 7, 8, 8, 8});
}
