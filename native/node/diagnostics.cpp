#include "node/diagnostics.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <memory>

#include "core/distillation_loss.h"
#include "core/models/student.h"
#include "core/models/weights.h"
#include "core/normalize.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

struct Gradients {
  double loss;
  std::vector<std::pair<std::string, at::Tensor>> by_name;
};

template <typename T>
at::Tensor copy(const T* values, at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::from_blob(const_cast<T*>(values), sizes, dtype).clone();
}

Napi::Value gradients(Worker& worker, const Napi::CallbackInfo& info) {
  const auto options = info[0].ToObject();
  const auto pixels = options.Get("pixels").As<Napi::Uint8Array>();
  const auto labels = options.Get("labels").As<Napi::Int32Array>();
  const auto teacher = options.Get("teacherLogits").As<Napi::Float32Array>();
  const Preprocessing preprocessing = read_preprocessing(options);
  const auto count = static_cast<int64_t>(labels.ElementLength());
  const int64_t side = preprocessing.image_size;
  const int64_t classes =
      static_cast<int64_t>(teacher.ElementLength()) / std::max<int64_t>(count, 1);
  if (count == 0 || static_cast<int64_t>(pixels.ElementLength()) != count * side * side * 3 ||
      static_cast<int64_t>(teacher.ElementLength()) != count * classes) {
    throw Napi::RangeError::New(info.Env(), "pixels, labels and teacherLogits disagree in length");
  }
  return worker.run<Gradients>(
      info.Env(),
      [preprocessing, classes, path = read_string(options, "student"),
       images = copy(pixels.Data(), {count, side, side, 3}, at::kByte),
       labels = copy(labels.Data(), {count}, at::kInt).to(at::kLong),
       teacher = copy(teacher.Data(), {count, classes}, at::kFloat),
       temperature = read_double(options, "temperature"),
       alpha = read_double(options, "alpha")](Channel&) {
        Student student(classes, /*drop_rate=*/0);
        load_weights(student.state(), Checkpoint::open(path), "the student");
        for (at::Tensor parameter : student.parameters()) parameter.requires_grad_();
        const at::Tensor logits =
            student.forward(Normalizer(preprocessing, at::kCPU, at::kFloat)(images),
                            at::detail::createCPUGenerator());
        const at::Tensor loss = distillation_loss(logits, teacher, labels, temperature, alpha);
        loss.backward();
        Gradients result{loss.item<double>(), {}};
        for (const auto& [name, tensor] : student.state()) {
          if (tensor.grad().defined()) {
            result.by_name.emplace_back(name, tensor.grad().to(at::kDouble).contiguous());
          }
        }
        return result;
      },
      [](Napi::Env env, const Gradients& result) {
        auto by_name = Napi::Object::New(env);
        for (const auto& [name, gradient] : result.by_name) {
          auto values = Napi::Float64Array::New(env, gradient.numel());
          std::copy_n(gradient.const_data_ptr<double>(), gradient.numel(), values.Data());
          by_name.Set(name, values);
        }
        auto object = Napi::Object::New(env);
        object.Set("loss", result.loss);
        object.Set("gradients", by_name);
        return object;
      });
}

}  // namespace

void register_diagnostics(Napi::Env env, Napi::Object exports) {
  auto worker = std::make_shared<Worker>(env);
  exports.Set("gradients", Napi::Function::New(env, [worker](const Napi::CallbackInfo& info) {
                return gradients(*worker, info);
              }));
}

}  // namespace distill::node
