#include "node/classifier.h"

#include <cstring>
#include <optional>

#include "core/device/device.h"
#include "core/device/memory.h"
#include "core/models/classifier.h"
#include "core/models/model_file.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

class ClassifierWrap {
 public:
  static Napi::Function define(Napi::Env env) {
    return Class<ClassifierWrap>()
        .with_promise<&ClassifierWrap::load>("load")
        .with_promise<&ClassifierWrap::logits>("logits")
        .with_promise<&ClassifierWrap::probabilities>("probabilities")
        .with_promise<&ClassifierWrap::close>("close")
        .define(env, "Classifier");
  }

  explicit ClassifierWrap(const Napi::CallbackInfo& info) : worker_(info.Env()) {
    const Fields options(info[0], "the classifier");
    model_ = read_path(options, "model");
    averaged_ = read_bool(options, "averaged");
    preprocessing_ = read_preprocessing(options);
    execution_ = read_execution(options);
    options.refuse_others();
  }

 private:
  Napi::Value load(const Napi::CallbackInfo& info) {
    return worker_.run<std::string>(
        info.Env(),
        [this](Channel&) {
          const Compute compute = begin_execution(execution_);
          device_ = compute.device;
          const LoadedNetwork loaded = load_network(model_, averaged_);
          loaded.network->prepare(preprocessing_.image_size);
          classifier_.emplace(loaded.network->evaluator(compute), preprocessing_, compute);
          return gpu_warning(execution_);
        },
        [](Napi::Env env, const std::string& warning) {
          auto object = Napi::Object::New(env);
          object.Set("warning", text_or_null(env, warning));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value logits(const Napi::CallbackInfo& info) {
    return answer(info, [](const at::Tensor& logits) { return logits; });
  }

  Napi::Value probabilities(const Napi::CallbackInfo& info) {
    return answer(info, [](const at::Tensor& logits) {
      // Infinity times zero is NaN: a class with such a logit does not just get a probability of 0.
      return at::softmax(logits + logits * 0, 1);
    });
  }

  Napi::Value answer(const Napi::CallbackInfo& info, at::Tensor (*finish)(const at::Tensor&)) {
    auto pixels = read_array<Napi::Uint8Array>(info[0], "pixels");
    const int64_t side = preprocessing_.image_size;
    const int64_t count = count_pictures(pixels, side);
    return worker_.run<at::Tensor>(
        info.Env(),
        [this, pictures = at::from_blob(pixels.Data(), {count, side, side, 3}, at::kByte),
         finish](Channel&) { return finish(classifier_.value().logits(pictures)); },
        [](Napi::Env env, const at::Tensor& answers) {
          auto array = Napi::Float32Array::New(env, answers.numel());
          std::memcpy(array.Data(), answers.const_data_ptr(), answers.nbytes());
          return array;
        },
        {this_of(info), pixels});
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    return worker_.close(info.Env(),
                         [this] {
                           classifier_.reset();
                           release_freed_memory();
                           release_device_memory(device_);
                         },
                         {this_of(info)});
  }

  std::string model_;
  bool averaged_ = false;
  Preprocessing preprocessing_;
  Execution execution_;
  at::Device device_ = at::kCPU;
  std::optional<Classifier> classifier_;  // touched on the worker's thread alone
  Worker worker_;                         // last: its thread ends before what it works on goes
};

}  // namespace

void register_classifier(Napi::Env env, Napi::Object exports) {
  exports.Set("Classifier", ClassifierWrap::define(env));
}

}  // namespace distill::node
