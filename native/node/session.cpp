#include "node/session.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "core/training/session.h"
#include "core/training/state.h"
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

Napi::Value to_value(Napi::Env env, const TrainResult& result) {
  auto object = Napi::Object::New(env);
  object.Set("stopReason", name_of(stop_reasons, result.stop_reason));
  object.Set("best", to_value(env, result.best));
  object.Set("last", to_value(env, result.last));
  auto kept_by = Napi::Object::New(env);
  for (const auto& [name, monitor] : monitors) {
    const auto epoch = result.kept_by[monitor];
    const auto number = epoch ? Napi::Number::New(env, static_cast<double>(*epoch)) : env.Null();
    kept_by.Set(name.data(), number);
  }
  object.Set("keptBy", kept_by);
  return object;
}

Napi::Int32Array to_array(Napi::Env env, const std::vector<int32_t>& values) {
  auto array = Napi::Int32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// A session (core/training/session.h) with a thread of its own.
class SessionWrap {
 public:
  static Napi::Function define(Napi::Env env) {
    return Class<SessionWrap>()
        .with_promise<&SessionWrap::open>("open")
        .with_promise<&SessionWrap::load_teacher>("loadTeacher")
        .with_promise<&SessionWrap::create_store>("createStore")
        .with_promise<&SessionWrap::reopen_store>("reopenStore")
        .with_promise<&SessionWrap::views>("views")
        .with_promise<&SessionWrap::has_answers>("hasAnswers")
        .with_promise<&SessionWrap::append>("append")
        .with_promise<&SessionWrap::seal_store>("sealStore")
        .with_promise<&SessionWrap::validate_teacher>("validateTeacher")
        .with_promise<&SessionWrap::train>("train")
        .with_promise<&SessionWrap::teach>("teach")
        .with<&SessionWrap::stop>("stop")
        .with<&SessionWrap::progress>("progress")
        .with_promise<&SessionWrap::close>("close")
        .define(env, "Session");
  }

  explicit SessionWrap(const Napi::CallbackInfo& info)
      : SessionWrap(info.Env(), read_session_options(info[0])) {}

 private:
  SessionWrap(Napi::Env env, const SessionOptions& options)
      : session_(options.preprocessing, options.execution),
        worker_(env, [this] { session_.control().stop = true; }) {}

  Napi::Value open(const Napi::CallbackInfo& info) {
    return worker_.run<Session::Opened>(
        info.Env(), [this](Channel&) { return session_.open(); },
        [](Napi::Env env, const Session::Opened& opened) {
          auto object = Napi::Object::New(env);
          object.Set("device", opened.device);
          object.Set("precision", opened.precision);
          object.Set("warning", text_or_null(env, opened.warning));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value load_teacher(const Napi::CallbackInfo& info) {
    return worker_.run<Session::LoadedTeacher>(
        info.Env(),
        [this, path = read_path(info[0]), averaged = read_bool(info[1], "averaged")](Channel&) {
          return session_.load_teacher(path, averaged);
        },
        [](Napi::Env env, const Session::LoadedTeacher& loaded) {
          auto object = Napi::Object::New(env);
          object.Set("architecture", loaded.architecture);
          object.Set("classes", static_cast<double>(loaded.classes));
          object.Set("parameters", static_cast<double>(loaded.parameters));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value create_store(const Napi::CallbackInfo& info) {
    return worker_.run<Nothing>(info.Env(),
                                [this, store = read_store_options(info[0])](Channel&) {
                                  session_.create_store(store.shape, store.place, store.view,
                                                        store.answers);
                                  return Nothing{};
                                },
                                to_undefined, {this_of(info)});
  }

  Napi::Value reopen_store(const Napi::CallbackInfo& info) {
    using Sources = std::optional<Session::Sources>;
    return worker_.run<Sources>(
        info.Env(),
        [this, store = read_store_options(info[0])](Channel&) {
          return session_.reopen_store(store.shape, store.place);
        },
        [](Napi::Env env, const Sources& sources) -> Napi::Value {
          if (!sources) return env.Null();
          auto object = Napi::Object::New(env);
          object.Set("train", to_array(env, sources->train));
          object.Set("val", to_array(env, sources->val));
          return object;
        },
        {this_of(info)});
  }

  Napi::Value views(const Napi::CallbackInfo& info) {
    const Fields options(info[0], "the pictures");
    auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
    const auto sources = read_array<Napi::Int32Array>(options, "sources");
    const int64_t side = read_side(options, "size");
    const int64_t count = count_pictures(pixels, side);
    if (static_cast<int64_t>(sources.ElementLength()) != count) {
      throw out_of_range(info.Env(), "pixels and sources disagree in length");
    }
    options.refuse_others();
    return worker_.run<at::Tensor>(
        info.Env(),
        [this, pictures = at::from_blob(pixels.Data(), {count, side, side, 3}, at::kByte),
         from = sources.Data()](Channel&) { return session_.views(pictures, from); },
        [](Napi::Env env, const at::Tensor& views) {
          auto array = Napi::Uint8Array::New(env, views.numel());
          std::memcpy(array.Data(), views.const_data_ptr(), views.nbytes());
          return array;
        },
        {this_of(info), options.object(), pixels, sources});
  }

  Napi::Value has_answers(const Napi::CallbackInfo& info) {
    const Fields options(info[0], "the pictures");
    const auto sources = read_array<Napi::Int32Array>(options, "sources");
    const SplitName split = read_named(options, "split", split_names);
    options.refuse_others();
    return worker_.run<bool>(
        info.Env(),
        [this, split, from = sources.Data(), count = static_cast<int64_t>(sources.ElementLength())](
            Channel&) { return session_.has_answers(split, from, count); },
        [](Napi::Env env, const bool& has) { return Napi::Boolean::New(env, has); },
        {this_of(info), options.object(), sources});
  }

  Napi::Value append(const Napi::CallbackInfo& info) {
    const Fields options(info[0], "the batch");
    auto pixels = read_array<Napi::Uint8Array>(options, "pixels");
    const auto labels = read_array<Napi::Int32Array>(options, "labels");
    const auto sources = read_array<Napi::Int32Array>(options, "sources");
    const int64_t side = read_side(options, "size");
    const int64_t count = count_pictures(pixels, side);
    if (static_cast<int64_t>(labels.ElementLength()) != count ||
        static_cast<int64_t>(sources.ElementLength()) != count) {
      throw out_of_range(info.Env(), "pixels, labels and sources disagree in length");
    }
    const ImageBatch batch{read_named(options, "split", split_names),
                           at::from_blob(pixels.Data(), {count, side, side, 3}, at::kByte),
                           labels.Data(),
                           sources.Data(),
                           read_bool(options, "answered"),
                           read_floats(options, "teacherLogits")};
    options.refuse_others();
    return worker_.run<Nothing>(info.Env(),
                                [this, batch](Channel&) {
                                  session_.append(batch);
                                  return Nothing{};
                                },
                                to_undefined,
                                {this_of(info), options.object(), pixels, labels, sources});
  }

  Napi::Value seal_store(const Napi::CallbackInfo& info) {
    return worker_.run<Nothing>(info.Env(),
                                [this](Channel&) {
                                  session_.seal_store();
                                  return Nothing{};
                                },
                                to_undefined, {this_of(info)});
  }

  Napi::Value validate_teacher(const Napi::CallbackInfo& info) {
    return worker_.run<TeacherScores>(
        info.Env(),
        [this, split = read_named(info[0], "split", split_names)](Channel&) {
          return session_.validate_teacher(split);
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
    const DistillOptions options = read_distill_options(info[0]);
    return run_training(info, [this, options](const Session::OnEpoch& on_epoch) {
      return session_.train(options.train, options.distill, on_epoch);
    });
  }

  Napi::Value teach(const Napi::CallbackInfo& info) {
    const TeachOptions options = read_teach_options(info[0]);
    return run_training(info, [this, options](const Session::OnEpoch& on_epoch) {
      return session_.teach(options.train, options.teach, on_epoch);
    });
  }

  Napi::Value run_training(const Napi::CallbackInfo& info,
                           const std::function<TrainResult(const Session::OnEpoch&)>& training) {
    session_.reset_progress();
    return worker_.run<TrainResult>(
        info.Env(),
        [training](Channel& channel) {
          return training([&channel](const EpochReport& report) {
            channel.call([report](Napi::Env env) { return to_object(env, report); });
          });
        },
        [](Napi::Env env, const TrainResult& result) { return to_value(env, result); },
        {this_of(info)}, read_function(info[1], "onEpoch"));
  }

  Napi::Value stop(const Napi::CallbackInfo& info) {
    session_.control().stop = true;
    return info.Env().Undefined();
  }

  Napi::Value progress(const Napi::CallbackInfo& info) {
    const TrainingControl& control = session_.control();
    auto object = Napi::Object::New(info.Env());
    object.Set("epoch", static_cast<double>(control.epoch));
    object.Set("step", static_cast<double>(control.step));
    object.Set("steps", static_cast<double>(control.steps));
    return object;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    return worker_.close(info.Env(), [this] { session_.close(); }, {this_of(info)});
  }

  Session session_;
  Worker worker_;  // last: its thread ends before the session that it works on goes
};

Napi::Value read_training_state(Worker& worker, const Napi::CallbackInfo& info) {
  return worker.run<TrainingState>(
      info.Env(), [path = read_path(info[0])](Channel&) { return read_state(path); },
      [](Napi::Env env, const TrainingState& state) {
        auto object = Napi::Object::New(env);
        object.Set("fingerprint", state.fingerprint);
        object.Set("epoch", static_cast<double>(state.epoch));
        object.Set("step", static_cast<double>(state.step));
        object.Set("seconds", state.seconds);
        auto epochs = Napi::Array::New(env, state.reports.size());
        for (uint32_t i = 0; i < state.reports.size(); ++i) {
          epochs.Set(i, to_object(env, state.reports[i]));
        }
        object.Set("epochs", epochs);
        return object;
      });
}

}  // namespace

void register_session(Napi::Env env, Napi::Object exports) {
  exports.Set("Session", SessionWrap::define(env));
  export_functions(env, exports, {{"readState", read_training_state}});
}

}  // namespace distill::node
