#include "node/step_diagnostics.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/data/augment.h"
#include "core/data/normalize.h"
#include "core/error.h"
#include "core/models/model_file.h"
#include "core/nn/weights.h"
#include "core/parallel/openmp.h"
#include "core/training/loss.h"
#include "core/training/optimizer.h"
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
  const Fields options(info[0], "the call");
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
  const auto work = [preprocessing, classes, path = read_path(options, "student"),
                     images = copy(pixels.Data(), {count, side, side, 3}, at::kByte),
                     labels = copy(labels.Data(), {count}, at::kInt).to(at::kLong),
                     teacher = copy(teacher.Data(), {count, classes}, at::kFloat),
                     loss_of = read_named(options, "loss", losses()),
                     config = LossConfig{.temperature = read_double(options, "temperature"),
                                         .alpha = read_double(options, "alpha"),
                                         .label_smoothing = 0,
                                         .class_weights = read_class_weights(options)}](Channel&) {
    const auto student = load_network(path, /*averaged=*/false).network;
    if (student->classes() != classes) {
      throw Error("ERR_CHECKPOINT_MISMATCH", "'" + path + "' has another number of classes");
    }
    for (at::Tensor parameter : trainable(student->state())) parameter.requires_grad_();
    const Batch batch{Normalizer(preprocessing, at::kCPU, at::kFloat)(images), labels, teacher, {}};
    const at::Tensor logits = student->forward(batch.images, /*dropout=*/{});
    return gradients_of(loss_of(logits, batch, config), student->state());
  };
  options.refuse_others();
  return worker.run<Gradients>(info.Env(), work, [](Napi::Env env, const Gradients& result) {
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
  const Fields options(info[0], "the call");
  const auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
  const auto labels = read_array<Napi::Int32Array>(options, "labels");
  const Preprocessing preprocessing = read_preprocessing(options);
  const int64_t side = preprocessing.image_size;
  const int64_t count = count_pictures(pixels, side);
  if (static_cast<int64_t>(labels.ElementLength()) != count) {
    throw out_of_range(info.Env(), "pixels and labels disagree in length");
  }
  const auto work = [preprocessing, path = read_path(options, "teacher"),
                     dtype = read_named(options, "precision", dtypes),
                     images = copy(pixels.Data(), {count, side, side, 3}, at::kByte),
                     labels = copy(labels.Data(), {count}, at::kInt).to(at::kLong),
                     config = LossConfig{.temperature = 1,
                                         .alpha = 0,
                                         .label_smoothing = read_double(options, "labelSmoothing"),
                                         .class_weights = read_class_weights(options)}](Channel&) {
    const auto teacher = load_teacher(path, /*averaged=*/false).network;
    for (at::Tensor parameter : trainable(teacher->state())) parameter.requires_grad_();
    const Batch batch{Normalizer(preprocessing, at::kCPU, dtype)(images), labels, {}, {}};
    const at::Tensor loss =
        cross_entropy_loss(teacher->forward(batch.images, /*dropout=*/{}), batch, config);
    Step step{gradients_of(loss, teacher->state()), {}};
    for (const auto& [name, tensor] : teacher->state()) {
      if (!tensor.requires_grad()) {
        step.statistics.emplace_back(name, tensor);
      }
    }
    return step;
  };
  options.refuse_others();
  return worker.run<Step>(info.Env(), work, [](Napi::Env env, const Step& step) {
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
  const Fields options(info[0], "the call");
  const auto values = read_array<Napi::Float32Array>(options, "values");
  const auto gradients = read_array<Napi::Float32Array>(options, "gradients");
  const auto count = static_cast<int64_t>(values.ElementLength());
  const auto steps = static_cast<int64_t>(gradients.ElementLength()) / std::max<int64_t>(count, 1);
  if (static_cast<int64_t>(gradients.ElementLength()) != steps * count) {
    throw out_of_range(info.Env(), "values and gradients disagree in length");
  }
  const auto work = [steps, make_optimizer = read_named(options, "optimizer", optimizers()),
                     config = OptimizerConfig{.weight_decay = read_double(options, "weightDecay")},
                     schedule = read_named(options, "schedule", schedules()),
                     schedule_config =
                         ScheduleConfig{.peak = read_double(options, "lr"),
                                        .total_steps = read_int(options, "totalSteps", 1),
                                        .warmup_steps = read_int(options, "warmupSteps", 0)},
                     values = copy(values.Data(), {count}, at::kFloat),
                     gradients = copy(gradients.Data(), {steps, count}, at::kFloat)](Channel&) {
    const auto optimizer = make_optimizer({values}, config);
    Steps result{{}, at::empty({steps}, at::kDouble), at::empty({steps}, at::kDouble)};
    for (int64_t step = 0; step < steps; ++step) {
      const StepSize size = schedule(step, schedule_config);
      result.learning_rates[step] = size.learning_rate;
      result.betas[step] = size.beta1;
      optimizer->zero_grad();
      values.mutable_grad().add_(gradients[step]);
      optimizer->step(size);
    }
    result.values = values.detach();
    return result;
  };
  options.refuse_others();
  return worker.run<Steps>(info.Env(), work, [](Napi::Env env, const Steps& steps) {
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
  const Fields options(info[0], "the call");
  const auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
  const int64_t from = read_side(options, "from");
  const int64_t count = count_pictures(pixels, from);
  const auto work = [count, from, preprocessing = read_preprocessing(options),
                     augmentation = read_augmentation(options, "augment"),
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
    const at::Tensor given = to_tensor(windows, augmentation.crop == Augmentation::Crop::resized);
    result.pixels = cut_windows(pictures, all, given, to);
    result.by_operators = cut_windows_by_operators(pictures, all, given, to);
    result.images = Normalizer(preprocessing, at::kCPU, at::kFloat)(pictures, all, given, to)
                        .permute({0, 2, 3, 1});
    return result;
  };
  options.refuse_others();
  return worker.run<Augmented>(info.Env(), work, [](Napi::Env env, const Augmented& result) {
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
