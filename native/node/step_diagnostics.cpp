#include "node/step_diagnostics.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/data/augment.h"
#include "core/data/normalize.h"
#include "core/models/registry.h"
#include "core/nn/weights.h"
#include "core/parallel/openmp.h"
#include "core/training/adam.h"
#include "core/training/distillation_loss.h"
#include "core/training/schedule.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

struct Gradients {
  double loss;
  std::vector<std::pair<std::string, at::Tensor>> by_name;
};

Gradients gradients_of(const at::Tensor& loss, const StateDict& state) {
  loss.backward();
  Gradients result{loss.item<double>(), {}};
  for (const auto& [name, tensor] : state) {
    if (tensor.grad().defined()) {
      result.by_name.emplace_back(name, tensor.grad());
    }
  }
  return result;
}

Napi::Float64Array to_array(Napi::Env env, const at::Tensor& values) {
  const at::Tensor doubles = values.to(at::kDouble).contiguous();
  auto array = Napi::Float64Array::New(env, doubles.numel());
  std::copy_n(doubles.const_data_ptr<double>(), doubles.numel(), array.Data());
  return array;
}

Napi::Object by_name(Napi::Env env,
                     const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  auto object = Napi::Object::New(env);
  for (const auto& [name, tensor] : tensors) {
    object.Set(name, to_array(env, tensor));
  }
  return object;
}

template <typename T>
at::Tensor copy(const T* values, at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::from_blob(const_cast<T*>(values), sizes, dtype).clone();
}

Napi::Value gradients(Worker& worker, const Napi::CallbackInfo& info) {
  const auto options = read_object(info[0], "options");
  const auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
  const auto labels = read_array<Napi::Int32Array>(options, "labels");
  const auto teacher = read_array<Napi::Float32Array>(options, "teacherLogits");
  const Preprocessing preprocessing = read_preprocessing(options);
  const int64_t side = preprocessing.image_size;
  const int64_t count = count_pictures(pixels, side);
  const int64_t classes = static_cast<int64_t>(teacher.ElementLength()) / count;
  if (static_cast<int64_t>(labels.ElementLength()) != count ||
      static_cast<int64_t>(teacher.ElementLength()) != count * classes) {
    throw out_of_range(info.Env(), "pixels, labels and teacherLogits disagree in length");
  }
  return worker.run<Gradients>(
      info.Env(),
      [preprocessing, classes, path = read_path(options, "student"),
       images = copy(pixels.Data(), {count, side, side, 3}, at::kByte),
       labels = copy(labels.Data(), {count}, at::kInt).to(at::kLong),
       teacher = copy(teacher.Data(), {count, classes}, at::kFloat),
       temperature = read_double(options, "temperature"),
       alpha = read_double(options, "alpha")](Channel&) {
        const Architecture& architecture = student_architecture();
        const auto student = architecture.create({classes, /*drop_rate=*/0});
        load_weights(*student, architecture, Checkpoint::open(path));
        for (at::Tensor parameter : trainable(student->state())) parameter.requires_grad_();
        const at::Tensor logits = student->forward(
            Normalizer(preprocessing, at::kCPU, at::kFloat)(images), /*dropout=*/{});
        const at::Tensor loss = distillation_loss(logits, teacher, labels, temperature, alpha);
        return gradients_of(loss, student->state());
      },
      [](Napi::Env env, const Gradients& result) {
        auto object = Napi::Object::New(env);
        object.Set("loss", result.loss);
        object.Set("gradients", by_name(env, result.by_name));
        return object;
      });
}

Napi::Value teacher_gradients(Worker& worker, const Napi::CallbackInfo& info) {
  struct Step {
    Gradients gradients;
    std::vector<std::pair<std::string, at::Tensor>> statistics;
  };
  const auto options = read_object(info[0], "options");
  const auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
  const auto labels = read_array<Napi::Int32Array>(options, "labels");
  const Preprocessing preprocessing = read_preprocessing(options);
  const int64_t side = preprocessing.image_size;
  const int64_t count = count_pictures(pixels, side);
  if (static_cast<int64_t>(labels.ElementLength()) != count) {
    throw out_of_range(info.Env(), "pixels and labels disagree in length");
  }
  return worker.run<Step>(
      info.Env(),
      [preprocessing, path = read_path(options, "teacher"),
       dtype = read_string(options, "precision") == "bf16" ? at::kBFloat16 : at::kFloat,
       images = copy(pixels.Data(), {count, side, side, 3}, at::kByte),
       labels = copy(labels.Data(), {count}, at::kInt).to(at::kLong),
       smoothing = read_double(options, "labelSmoothing")](Channel&) {
        const auto teacher = load_teacher(path).network;
        for (at::Tensor parameter : trainable(teacher->state())) parameter.requires_grad_();
        const at::Tensor logits =
            teacher->forward(Normalizer(preprocessing, at::kCPU, dtype)(images), /*dropout=*/{});
        const at::Tensor loss =
            at::cross_entropy_loss(logits, labels, /*weight=*/{}, at::Reduction::Mean,
                                   /*ignore_index=*/-100, smoothing);
        Step step{gradients_of(loss, teacher->state()), {}};
        for (const auto& [name, tensor] : teacher->state()) {
          if (!tensor.requires_grad()) {
            step.statistics.emplace_back(name, tensor);
          }
        }
        return step;
      },
      [](Napi::Env env, const Step& step) {
        auto object = Napi::Object::New(env);
        object.Set("loss", step.gradients.loss);
        object.Set("gradients", by_name(env, step.gradients.by_name));
        object.Set("statistics", by_name(env, step.statistics));
        return object;
      });
}

Napi::Value optimize(Worker& worker, const Napi::CallbackInfo& info) {
  struct Steps {
    at::Tensor values, learning_rates, betas;
  };
  const auto options = read_object(info[0], "options");
  const auto values = read_array<Napi::Float32Array>(options, "values");
  const auto gradients = read_array<Napi::Float32Array>(options, "gradients");
  const auto count = static_cast<int64_t>(values.ElementLength());
  const auto steps = static_cast<int64_t>(gradients.ElementLength()) / std::max<int64_t>(count, 1);
  if (static_cast<int64_t>(gradients.ElementLength()) != steps * count) {
    throw out_of_range(info.Env(), "values and gradients disagree in length");
  }
  return worker.run<Steps>(
      info.Env(),
      [steps, decay = read_double(options, "weightDecay"),
       schedule = Schedule(read_schedule(options), read_double(options, "lr"),
                           read_int(options, "totalSteps", 1), read_int(options, "warmupSteps", 0)),
       values = copy(values.Data(), {count}, at::kFloat),
       gradients = copy(gradients.Data(), {steps, count}, at::kFloat)](Channel&) {
        Adam adam({values}, decay);
        Steps result{{}, at::empty({steps}, at::kDouble), at::empty({steps}, at::kDouble)};
        for (int64_t step = 0; step < steps; ++step) {
          const StepSize size = schedule.at(step);
          result.learning_rates[step] = size.learning_rate;
          result.betas[step] = size.beta1;
          adam.zero_grad();
          values.mutable_grad().add_(gradients[step]);
          adam.step(size);
        }
        result.values = values.detach();
        return result;
      },
      [](Napi::Env env, const Steps& steps) {
        auto object = Napi::Object::New(env);
        object.Set("values", to_array(env, steps.values));
        object.Set("lr", to_array(env, steps.learning_rates));
        object.Set("beta1", to_array(env, steps.betas));
        return object;
      });
}

Napi::Value augment(Worker& worker, const Napi::CallbackInfo& info) {
  struct Augmented {
    at::Tensor pixels, by_operators, images;
    std::vector<int32_t> windows;
  };
  const auto options = read_object(info[0], "options");
  const auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
  const int64_t from = read_side(options, "from");
  const int64_t count = count_pictures(pixels, from);
  return worker.run<Augmented>(
      info.Env(),
      [count, from, preprocessing = read_preprocessing(options),
       augmentation = read_augmentation(options.Get("augment")),
       seed = static_cast<uint64_t>(read_int(options, "seed", 0)),
       epoch = static_cast<uint64_t>(read_int(options, "epoch", 0)),
       threads = read_threads(options),
       pictures = copy(pixels.Data(), {count, from, from, 3}, at::kByte)](Channel&) {
        use_threads(threads);
        const int64_t to = preprocessing.image_size;
        std::vector<Window> windows;
        Augmented result;
        for (int64_t i = 0; i < count; ++i) {
          const Window& window = windows.emplace_back(
              draw_window(augmentation, from, to, seed, epoch, static_cast<uint64_t>(i)));
          for (const int64_t value :
               {window.left, window.top, window.width, window.height, int64_t{window.flip}}) {
            result.windows.push_back(static_cast<int32_t>(value));
          }
        }
        const at::Tensor all = at::arange(count, at::kLong);
        const at::Tensor given =
            to_tensor(windows, augmentation.crop == Augmentation::Crop::resized);
        result.pixels = cut_windows(pictures, all, given, to);
        result.by_operators = cut_windows_by_operators(pictures, all, given, to);
        result.images = Normalizer(preprocessing, at::kCPU, at::kFloat)(pictures, all, given, to)
                            .permute({0, 2, 3, 1});
        return result;
      },
      [](Napi::Env env, const Augmented& result) {
        const auto to_bytes = [env](const at::Tensor& tensor) {
          const at::Tensor bytes = tensor.contiguous();
          auto array = Napi::Uint8Array::New(env, bytes.numel());
          std::copy_n(bytes.const_data_ptr<uint8_t>(), bytes.numel(), array.Data());
          return array;
        };
        auto windows = Napi::Int32Array::New(env, result.windows.size());
        std::copy(result.windows.begin(), result.windows.end(), windows.Data());
        auto object = Napi::Object::New(env);
        object.Set("pixels", to_bytes(result.pixels));
        object.Set("pixelsByOperators", to_bytes(result.by_operators));
        object.Set("images", to_array(env, result.images));
        object.Set("windows", windows);
        return object;
      });
}

}  // namespace

void register_step_diagnostics(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports,
                   {{"gradients", gradients},
                    {"teacherGradients", teacher_gradients},
                    {"optimize", optimize},
                    {"augment", augment}});
}

}  // namespace distill::node
