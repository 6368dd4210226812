#include "node/session.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <optional>
#include <utility>

#include "core/data/sample_store.h"
#include "core/device/device.h"
#include "core/device/memory.h"
#include "core/error.h"
#include "core/models/classifier.h"
#include "core/models/registry.h"
#include "core/nn/weights.h"
#include "core/parallel/openmp.h"
#include "core/training/learner.h"
#include "core/training/train.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

Napi::Value to_undefined(Napi::Env env, const Nothing&) {
  return env.Undefined();
}

Napi::Object to_object(Napi::Env env, const EpochReport& report) {
  auto object = Napi::Object::New(env);
  object.Set("epoch", static_cast<double>(report.epoch));
  object.Set("trainLoss", report.train.loss);
  object.Set("trainAccuracy", report.train.accuracy);
  object.Set("valLoss", report.val.loss);
  object.Set("valAccuracy", report.val.accuracy);
  const auto agreement = report.val_agreement;
  object.Set("valAgreement", agreement ? Napi::Number::New(env, *agreement) : env.Null());
  auto step_losses = Napi::Float64Array::New(env, report.step_losses.size());
  std::copy(report.step_losses.begin(), report.step_losses.end(), step_losses.Data());
  object.Set("stepLosses", step_losses);
  object.Set("trainSeconds", report.train_seconds);
  object.Set("valSeconds", report.val_seconds);
  auto phases = Napi::Object::New(env);
  phases.Set("gather", report.phases.gather);
  phases.Set("forward", report.phases.forward);
  phases.Set("loss", report.phases.loss);
  phases.Set("backward", report.phases.backward);
  phases.Set("optimizer", report.phases.optimizer);
  object.Set("phaseSeconds", phases);
  object.Set("saved", report.saved);
  return object;
}

Napi::Value to_value(Napi::Env env, const std::optional<EpochReport>& report) {
  return report ? static_cast<Napi::Value>(to_object(env, *report)) : env.Null();
}

const char* to_string(StopReason stop_reason) {
  switch (stop_reason) {
    case StopReason::completed:
      return "completed";
    case StopReason::early_stop:
      return "early-stop";
    case StopReason::stopped:
      return "stopped";
  }
  return "";
}

class Session {
 public:
  static Napi::Function define(Napi::Env env) {
    return Class<Session>()
        .with_promise<&Session::open>("open")
        .with_promise<&Session::load_teacher>("loadTeacher")
        .with_promise<&Session::create_store>("createStore")
        .with_promise<&Session::reopen_store>("reopenStore")
        .with_promise<&Session::append>("append")
        .with_promise<&Session::seal_store>("sealStore")
        .with_promise<&Session::validate_teacher>("validateTeacher")
        .with_promise<&Session::train>("train")
        .with_promise<&Session::teach>("teach")
        .with<&Session::stop>("stop")
        .with<&Session::progress>("progress")
        .with_promise<&Session::close>("close")
        .define(env, "Session");
  }

  explicit Session(const Napi::CallbackInfo& info)
      : worker_(info.Env(), [this] { control_.stop = true; }) {
    const auto options = read_object(info[0], "options");
    preprocessing_ = read_preprocessing(options);
    device_name_ = read_string(options, "device");
    precision_ = read_string(options, "precision");
    threads_ = read_threads(options);
  }

 private:
  Napi::Value open(const Napi::CallbackInfo& info) {
    return worker_.run<std::string>(
        info.Env(),
        [this](Channel&) {
          // The number of threads belongs to the thread that starts the parallel work: this one.
          use_threads(threads_);
          compute_ = choose_compute(device_name_, precision_);
          use_device(compute_.device);
          return device_name_ == "auto" ? gpu_problem() : "";
        },
        [this](Napi::Env env, const std::string& warning) {
          auto object = Napi::Object::New(env);
          object.Set("device", compute_.device.str());
          object.Set("precision", compute_.precision());
          object.Set("warning", text_or_null(env, warning));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value load_teacher(const Napi::CallbackInfo& info) {
    struct Loaded {
      std::string architecture;
      int64_t classes, parameters;
    };
    const std::string path = read_path(info[0]);
    return worker_.run<Loaded>(
        info.Env(),
        [this, path](Channel&) {
          const auto [architecture, network] = distill::load_teacher(path);
          teacher_path_ = path;
          teacher_.emplace(network->evaluator(compute_), preprocessing_, compute_);
          return Loaded{architecture->name, network->classes(), count_parameters(network->state())};
        },
        [](Napi::Env env, const Loaded& loaded) {
          auto object = Napi::Object::New(env);
          object.Set("architecture", loaded.architecture);
          object.Set("classes", static_cast<double>(loaded.classes));
          object.Set("parameters", static_cast<double>(loaded.parameters));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value create_store(const Napi::CallbackInfo& info) {
    const auto options = read_object(info[0], "options");
    return worker_.run<Nothing>(
        info.Env(),
        [this, shape = read_store_shape(options), place = read_store_place(options),
         view = read_augmentation(options.Get("view"))](Channel&) {
          view_ = view;
          waiting_ = 0;
          store_ = SampleStore::create(shape, place);
          return Nothing{};
        },
        to_undefined, {this_of(info)});
  }

  Napi::Value reopen_store(const Napi::CallbackInfo& info) {
    using Sources = std::optional<std::array<std::vector<int32_t>, 2>>;
    const auto options = read_object(info[0], "options");
    return worker_.run<Sources>(
        info.Env(),
        [this, shape = read_store_shape(options),
         place = read_store_place(options)](Channel&) -> Sources {
          store_ = SampleStore::reopen(shape, place, control_.stop);
          if (!store_) return std::nullopt;
          teacher_.reset();
          const auto sources = [](const Split& split) {
            const auto* first = split.sources.const_data_ptr<int64_t>();
            return std::vector<int32_t>(first, first + split.count);
          };
          return {{sources(store_->train()), sources(store_->val())}};
        },
        [](Napi::Env env, const Sources& sources) -> Napi::Value {
          if (!sources) return env.Null();
          auto object = Napi::Object::New(env);
          const auto list = [env](const std::vector<int32_t>& values) {
            auto array = Napi::Int32Array::New(env, values.size());
            std::copy(values.begin(), values.end(), array.Data());
            return array;
          };
          object.Set("train", list((*sources)[0]));
          object.Set("val", list((*sources)[1]));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value append(const Napi::CallbackInfo& info) {
    const auto options = read_object(info[0], "options");
    const bool is_train = read_string(options, "split") == "train";
    // Validation is plain cross entropy: it needs no teacher, unless its agreement is asked for.
    const bool is_answered = options.Has("answered") ? read_bool(options, "answered") : is_train;
    auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
    const auto labels = read_array<Napi::Int32Array>(options, "labels");
    const auto sources = read_array<Napi::Int32Array>(options, "sources");
    const int64_t side =
        options.Has("size") ? read_side(options, "size") : preprocessing_.image_size;
    const int64_t count = count_pictures(pixels, side);
    if (static_cast<int64_t>(labels.ElementLength()) != count ||
        static_cast<int64_t>(sources.ElementLength()) != count) {
      throw out_of_range(info.Env(), "pixels, labels and sources disagree in length");
    }
    return worker_.run<Nothing>(
        info.Env(),
        [this, is_train, is_answered, labels = labels.Data(), sources = sources.Data(),
         pictures = at::from_blob(pixels.Data(), {count, side, side, 3}, at::kByte),
         given = read_floats(options, "teacherLogits")](Channel&) {
          append(is_train, is_answered, pictures, labels, sources, given);
          return Nothing{};
        },
        to_undefined, {this_of(info), options, pixels, labels, sources});
  }

  // `given` are the teacher's logits, where no teacher is there to be asked.
  void append(bool is_train, bool is_answered, const at::Tensor& pictures, const int32_t* labels,
              const int32_t* sources, at::ArrayRef<float> given) {
    const c10::NoGradGuard no_grad;
    Split& split = is_train ? store_.value().train() : store_.value().val();
    const at::Tensor rows = store_->append(split, labels, sources, pictures.size(0));
    rows.copy_(is_train && view_ != Augmentation() ? views_of(pictures, sources) : pictures);
    if (!is_answered || !store_->shape().has_teacher) return;
    if (!teacher_) {
      at::Tensor to =
          split.teacher_logits.narrow(0, split.count * split.views - rows.size(0), rows.size(0));
      if (static_cast<int64_t>(given.size()) != to.numel()) {
        throw Error("ERR_INTERNAL", "the teacher's logits are not those of the pictures");
      }
      std::copy(given.begin(), given.end(), to.mutable_data_ptr<float>());
      return;
    }
    if (waiting_for_ != &split) answer(waiting_);
    waiting_for_ = &split;
    waiting_ += rows.size(0);
    // The CPU answers while the next ones are being decoded; so few do not fill a GPU.
    if (compute_.device.is_cpu()) return answer(waiting_);
    const int64_t full = evaluation_batch(preprocessing_.image_size);
    while (waiting_ >= full) answer(full);
  }

  // Asks the teacher about the first of those that wait.
  void answer(int64_t count) {
    if (count == 0) return;
    Split& split = *waiting_for_;
    const int64_t first = split.count * split.views - std::exchange(waiting_, waiting_ - count);
    const at::Tensor rows = split.pixels.narrow(0, first, count);
    const at::Tensor logits = teacher_->logits(rows);
    if (!logits.isfinite().all().item<bool>()) {
      throw Error("ERR_NOT_FINITE", "the answers of the teacher '" + teacher_path_ +
                                        "' are not finite numbers: check mean and std, or use a "
                                        "checkpoint from before its training diverged");
    }
    split.teacher_logits.narrow(0, first, count).copy_(logits);
  }

  // The views of each picture, side by side. What is drawn depends on the picture's place in the
  // list of files alone, so that a store serves every run's seed.
  at::Tensor views_of(const at::Tensor& pictures, const int32_t* sources) const {
    const int64_t views = store_->shape().views;
    std::vector<Window> windows;
    for (int64_t i = 0; i < pictures.size(0); ++i) {
      for (int64_t view = 0; view < views; ++view) {
        windows.push_back(draw_window(view_, pictures.size(1), preprocessing_.image_size,
                                      /*seed=*/0, view, sources[i]));
      }
    }
    const at::Tensor indices = at::arange(pictures.size(0), at::kLong).repeat_interleave(views);
    const bool resized = view_.crop == Augmentation::Crop::resized;
    return cut_windows(pictures, indices, to_tensor(windows, resized), preprocessing_.image_size);
  }

  Napi::Value seal_store(const Napi::CallbackInfo& info) {
    return worker_.run<Nothing>(info.Env(),
                                [this](Channel&) {
                                  answer(waiting_);
                                  store_.value().seal();
                                  teacher_.reset();  // its answers are in the store
                                  release_freed_memory();
                                  release_device_memory(compute_.device);
                                  return Nothing{};
                                },
                                to_undefined, {this_of(info)});
  }

  Napi::Value validate_teacher(const Napi::CallbackInfo& info) {
    const bool is_train = info[0].ToString().Utf8Value() == "train";
    return worker_.run<TeacherScores>(
        info.Env(),
        [this, is_train](Channel&) {
          const SampleStore& store = store_.value();
          return distill::validate_teacher(is_train ? store.train() : store.val());
        },
        [](Napi::Env env, const TeacherScores& scores) {
          auto object = Napi::Object::New(env);
          object.Set("loss", scores.metrics.loss);
          object.Set("accuracy", scores.metrics.accuracy);
          object.Set("commonest", static_cast<double>(scores.commonest));
          object.Set("share", scores.share);
          return object;
        },
        {this_of(info)});
  }

  Napi::Value train(const Napi::CallbackInfo& info) {
    const auto options = read_object(info[0], "options");
    return run_training(info, read_train_config(options, "student"),
                        [config = read_distill_config(options)](const auto&... given) {
                          return make_student(config, given...);
                        });
  }

  Napi::Value teach(const Napi::CallbackInfo& info) {
    const auto options = read_object(info[0], "options");
    return run_training(info, read_train_config(options, "teacher"),
                        [config = read_teach_config(options)](const auto&... given) {
                          return make_teacher(config, given...);
                        });
  }

  // make_learner(classes, generator, compute)
  template <typename MakeLearner>
  Napi::Value run_training(const Napi::CallbackInfo& info, const TrainConfig& config,
                           const MakeLearner& make_learner) {
    // Now, so that nobody sees where the training before this one ended.
    control_.epoch = control_.step = control_.steps = 0;
    return worker_.run<TrainResult>(
        info.Env(),
        [this, config, make_learner](Channel& channel) {
          at::Generator generator = at::detail::createCPUGenerator(config.seed);
          const auto learner = make_learner(store_.value().shape().classes, generator, compute_);
          return distill::train(
              *store_, preprocessing_, config, *learner, generator, compute_, control_,
              [&channel](const EpochReport& report) {
                channel.call([report](Napi::Env env) { return to_object(env, report); });
              });
        },
        [](Napi::Env env, const TrainResult& result) {
          auto object = Napi::Object::New(env);
          object.Set("stopReason", to_string(result.stop_reason));
          object.Set("best", to_value(env, result.best));
          object.Set("last", to_value(env, result.last));
          return object;
        },
        {this_of(info)}, read_function(info[1], "onEpoch"));
  }

  Napi::Value stop(const Napi::CallbackInfo& info) {
    control_.stop = true;
    return info.Env().Undefined();
  }

  Napi::Value progress(const Napi::CallbackInfo& info) {
    auto object = Napi::Object::New(info.Env());
    object.Set("epoch", static_cast<double>(control_.epoch));
    object.Set("step", static_cast<double>(control_.step));
    object.Set("steps", static_cast<double>(control_.steps));
    return object;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    return worker_.close(info.Env(),
                         [this] {
                           teacher_.reset();
                           store_.reset();
                           release_freed_memory();
                           release_device_memory(compute_.device);
                         },
                         {this_of(info)});
  }

  Preprocessing preprocessing_;
  std::string device_name_, precision_;
  int64_t threads_ = 0;  // 0: LibTorch's choice
  RunControl control_;

  // Touched on the worker's thread alone.
  Compute compute_;
  std::optional<Classifier> teacher_;
  std::string teacher_path_;
  std::optional<SampleStore> store_;
  Split* waiting_for_ = nullptr;  // whose last rows wait for the teacher's answers
  int64_t waiting_ = 0;           // how many they are
  Augmentation view_;             // what training pictures go through on their way into the store

  Worker worker_;  // last: its thread ends before what it works on goes
};

}  // namespace

void register_session(Napi::Env env, Napi::Object exports) {
  exports.Set("Session", Session::define(env));
}

}  // namespace distill::node
