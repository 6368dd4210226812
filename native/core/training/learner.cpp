#include "core/training/learner.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "core/error.h"
#include "core/models/graph_network.h"
#include "core/models/model_file.h"
#include "core/nn/weights.h"

namespace distill {

Learner::Learner(std::unique_ptr<Network> network, const Compute& compute,
                 std::optional<int64_t> freeze_epochs)
    : network_(std::move(network)), compute_(compute), freeze_epochs_(freeze_epochs) {
  move_weights(network_->state(), compute.device);
}

std::vector<std::vector<at::Tensor>> Learner::parameter_groups() const {
  const std::vector<at::Tensor> all = network_->parameters();
  if (!freeze_epochs_) return {all};
  const Linear& head = *network_->head();
  std::vector<at::Tensor> features, last;
  for (const at::Tensor& parameter : all) {
    const bool is_last = parameter.is_same(head.weight) || parameter.is_same(head.bias);
    (is_last ? last : features).push_back(parameter);
  }
  return {features, last};
}

size_t Learner::begin_epoch(int64_t epoch) {
  if (epoch > freeze_epochs_.value_or(0)) {
    frozen_.reset();
    return 0;
  }
  const c10::NoGradGuard no_grad;
  if (!frozen_) frozen_ = network_->evaluator(compute_);
  return 1;
}

at::Tensor Learner::draw_noise(int64_t pictures, const at::Generator& generator) const {
  return network_->draw_dropout(pictures, generator);
}

at::Tensor Learner::forward(const Batch& batch) {
  if (!frozen_) return network_->forward(batch.images, batch.noise);
  const at::Tensor features = [&] {
    const c10::NoGradGuard no_grad;
    return frozen_->features(batch.images);
  }();
  return (*network_->head())(features);
}

void Learner::begin_validation() {
  if (evaluated_) {
    evaluated_->follow(*network_);
  } else {
    evaluated_ = network_->evaluator(compute_);
  }
}

namespace {

// The student that an exported program describes.
NewStudent exported_student(const DistillConfig& config, int64_t classes,
                            const at::Generator& generator) {
  const Checkpoint file = Checkpoint::open(config.architecture);
  if (!file.has_graph()) {
    throw Error("ERR_GRAPH", "'" + config.architecture +
                                 "' holds no exported program: write one by torch.export.save");
  }
  auto network = GraphNetwork::load(file);
  if (config.drop_rate) network->set_drop_rate(*config.drop_rate);
  std::optional<int64_t> replaced;
  if (network->classes() != classes) {
    replaced = network->classes();
    network->replace_head(classes, generator);
  }
  if (!config.initial_student.empty()) {
    replaced.reset();
    load_weights(network->state(), Checkpoint::open(config.initial_student),
                 "the network in '" + config.architecture + "' with " + std::to_string(classes) +
                     " classes");
  }
  std::string name = network->name();
  return {std::move(name), std::move(network), replaced};
}

}  // namespace

NewStudent make_student(const DistillConfig& config, int64_t classes,
                        const at::Generator& generator) {
  if (config.architecture.ends_with(".pt2")) return exported_student(config, classes, generator);
  const Architecture& architecture = find_architecture(config.architecture);
  auto network = architecture.create({classes, config.drop_rate, config.width});
  if (config.initial_student.empty()) {
    network->initialize(generator);
  } else {
    load_weights(*network, architecture,
                 open_model(config.initial_student, /*averaged=*/false).checkpoint);
  }
  return {architecture.name, std::move(network), {}};
}

std::unique_ptr<Network> make_teacher(const TeachConfig& config, int64_t classes,
                                      const at::Generator& generator) {
  if (config.weights.empty()) {
    auto teacher = find_architecture(config.architecture).create({classes});
    teacher->initialize(generator);
    return teacher;
  }
  LoadedNetwork loaded = load_teacher(config.weights, config.averaged);
  if (config.keep_head) return std::move(loaded.network);
  auto teacher = find_architecture(loaded.architecture).create({classes});
  Linear head = *teacher->head();
  head.initialize(generator);
  for (const auto& [name, tensor] : teacher->state()) {
    if (tensor.is_same(head.weight) || tensor.is_same(head.bias)) continue;
    at::Tensor(tensor).copy_(loaded.network->state().at(name));
  }
  return teacher;
}

}  // namespace distill
