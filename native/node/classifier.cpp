#include "node/classifier.h"

#include <ATen/Parallel.h>

#include <cstring>
#include <optional>

#include "core/classifier.h"
#include "core/device/device.h"
#include "core/device/memory.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

class ClassifierWrap : public Napi::ObjectWrap<ClassifierWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Classifier",
                       {InstanceMethod<&ClassifierWrap::load>("load"),
                        InstanceMethod<&ClassifierWrap::logits>("logits"),
                        InstanceMethod<&ClassifierWrap::probabilities>("probabilities"),
                        InstanceMethod<&ClassifierWrap::close>("close")});
  }

  explicit ClassifierWrap(const Napi::CallbackInfo& info) : ObjectWrap(info), worker_(info.Env()) {
    const auto options = info[0].ToObject();
    model_ = read_path(options, "model");
    preprocessing_ = read_preprocessing(options);
    device_name_ = read_string(options, "device");
    precision_ = read_string(options, "precision");
    threads_ = read_int(options, "threads");
  }

 private:
  Napi::Value load(const Napi::CallbackInfo& info) {
    return worker_.run<std::string>(
        info.Env(),
        [this](Channel&) {
          if (threads_ > 0) at::set_num_threads(static_cast<int>(threads_));
          const Compute compute = choose_compute(device_name_, precision_);
          use_device(compute.device);
          device_ = compute.device;
          classifier_.emplace(model_, preprocessing_, compute);
          return device_name_ == "auto" ? gpu_problem() : "";
        },
        [](Napi::Env env, const std::string& warning) {
          auto object = Napi::Object::New(env);
          object.Set("warning", text_or_null(env, warning));
          return object;
        },
        {Value()});
  }

  Napi::Value logits(const Napi::CallbackInfo& info) {
    return answer(info, [](const at::Tensor& logits) { return logits; });
  }

  Napi::Value probabilities(const Napi::CallbackInfo& info) {
    return answer(info, [](const at::Tensor& logits) {
      // Times zero, infinity is NaN: a class with such a logit does not just get a probability of
      // 0.
      return at::softmax(logits + logits * 0, 1);
    });
  }

  Napi::Value answer(const Napi::CallbackInfo& info, at::Tensor (*finish)(const at::Tensor&)) {
    const auto pixels = info[0].As<Napi::Uint8Array>();
    const int64_t side = preprocessing_.image_size;
    const auto length = static_cast<int64_t>(pixels.ElementLength());
    if (!pixels.IsTypedArray() || length == 0 || length % (side * side * 3) != 0) {
      throw Napi::RangeError::New(info.Env(), "pixels are not whole pictures");
    }
    return worker_.run<at::Tensor>(
        info.Env(),
        [this, data = pixels.Data(), side, length, finish](Channel&) {
          const int64_t count = length / (side * side * 3);
          return finish(classifier_.value().logits(
              at::from_blob(const_cast<uint8_t*>(data), {count, side, side, 3}, at::kByte)));
        },
        [](Napi::Env env, const at::Tensor& answers) {
          auto array = Napi::Float32Array::New(env, answers.numel());
          std::memcpy(array.Data(), answers.const_data_ptr(), answers.nbytes());
          return array;
        },
        {Value(), pixels});
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    return worker_.run<bool>(
        info.Env(),
        [this](Channel&) {
          classifier_.reset();
          release_freed_memory();
          release_device_memory(device_);
          return true;
        },
        [](Napi::Env env, const bool&) { return env.Undefined(); }, {Value()});
  }

  std::string model_, device_name_, precision_;
  Preprocessing preprocessing_;
  int64_t threads_ = 0;  // 0: LibTorch's choice
  at::Device device_ = at::kCPU;
  std::optional<Classifier> classifier_;  // touched on the worker's thread alone
  Worker worker_;                         // last: its thread ends before what it works on goes
};

}  // namespace

void register_classifier(Napi::Env env, Napi::Object exports) {
  exports.Set("Classifier", ClassifierWrap::define(env));
}

}  // namespace distill::node
