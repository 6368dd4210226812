#include "core/training/session.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include "core/device/memory.h"
#include "core/models/model_file.h"
#include "core/nn/weights.h"
#include "core/training/learner.h"
#include "core/training/train.h"

namespace distill {
namespace {

std::vector<int32_t> sources_of(const Split& split) {
  const auto* first = split.sources.const_data_ptr<int64_t>();
  return {first, first + split.count};
}

}  // namespace

Session::Opened Session::open() {
  compute_ = begin_execution(execution_);
  return {compute_.device.str(), compute_.precision(), gpu_warning(execution_)};
}

Session::LoadedTeacher Session::load_teacher(const std::string& path, bool averaged) {
  const auto [architecture, network] = distill::load_teacher(path, averaged);
  network->prepare(preprocessing_.image_size);
  teacher_.emplace(path, network->evaluator(compute_), preprocessing_, compute_);
  return {architecture, network->classes(), count_elements(network->parameters())};
}

void Session::create_store(const StoreShape& shape, const StorePlace& place,
                           const Augmentation& view, const AnswerLogPlace& answers) {
  filler_.reset();
  store_ = SampleStore::create(shape, place);
  filler_.emplace(*store_, teacher_, view, answers, preprocessing_.image_size, compute_.device);
}

bool Session::has_answers(SplitName split, const int32_t* sources, int64_t count) const {
  return filler_.value().has_answers(split, sources, count);
}

std::optional<Session::Sources> Session::reopen_store(const StoreShape& shape,
                                                      const StorePlace& place) {
  filler_.reset();
  store_ = SampleStore::reopen(shape, place, control_.stop);
  if (!store_) return std::nullopt;
  teacher_.reset();
  return Sources{sources_of(store_->train()), sources_of(store_->val())};
}

at::Tensor Session::views(const at::Tensor& pixels, const int32_t* sources) const {
  const c10::NoGradGuard no_grad;
  return filler_.value().views(pixels, sources).contiguous();
}

void Session::append(const ImageBatch& batch) {
  filler_.value().append(batch);
}

void Session::seal_store() {
  filler_.value().finish();
  filler_.reset();
  teacher_.reset();  // its logits are in the store
  release_memory();
}

TeacherScores Session::validate_teacher(SplitName split) const {
  const SampleStore& store = store_.value();
  return distill::validate_teacher(store.split(split));
}

TrainResult Session::train(const TrainConfig& config, const DistillConfig& distill_config,
                           const OnEpoch& on_epoch) {
  const SampleStore& store = store_.value();
  const at::Generator generator = at::detail::createCPUGenerator(config.seed);
  NewStudent made = make_student(distill_config, store.shape().classes, generator);
  made.network->prepare(preprocessing_.image_size);
  Learner student(std::move(made.network), compute_);
  return distill::train(store, preprocessing_, config, student, generator, compute_, control_,
                        on_epoch);
}

TrainResult Session::teach(const TrainConfig& config, const TeachConfig& teach_config,
                           const OnEpoch& on_epoch) {
  const SampleStore& store = store_.value();
  const at::Generator generator = at::detail::createCPUGenerator(config.seed);
  Learner teacher(make_teacher(teach_config, store.shape().classes, generator), compute_,
                  teach_config.freeze_epochs);
  return distill::train(store, preprocessing_, config, teacher, generator, compute_, control_,
                        on_epoch);
}

void Session::close() {
  filler_.reset();
  teacher_.reset();
  store_.reset();
  release_memory();
}

void Session::reset_progress() {
  control_.epoch = control_.step = control_.steps = 0;
}

void Session::release_memory() const {
  release_freed_memory();
  release_device_memory(compute_.device);
}

}  // namespace distill
