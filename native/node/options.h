#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/json_object.h"
#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/device/device.h"
#include "core/error.h"
#include "core/training/answer_log.h"
#include "core/training/config.h"
#include "node/read.h"

// Reads the options of the addon's calls. lib/native.ts describes them.
namespace distill::node {

// A text for people, or null where it is empty.
inline Napi::Value text_or_null(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : static_cast<Napi::Value>(Napi::String::New(env, text));
}

// Empty where it is null.
inline at::ArrayRef<float> read_floats(const Fields& fields, const char* name) {
  if (fields.get(name).IsNull()) return {};
  const auto array = read_array<Napi::Float32Array>(fields, name);
  return {array.Data(), array.ElementLength()};
}

inline int64_t read_side(const Fields& fields, const char* name) {
  return read_int(fields, name, 1, max_side);
}

inline Preprocessing read_preprocessing(const Fields& fields) {
  return {read_side(fields, "imageSize"), read_triple(fields, "mean"), read_triple(fields, "std")};
}

inline Execution read_execution(const Fields& fields) {
  const std::string device = read_string(fields, "device");
  if (!is_device_name(device)) {
    throw wrong_type(fields.env(), "device", "'auto', 'cpu', 'cuda' or 'cuda:N'");
  }
  return {device, read_named(fields, "precision", precisions), read_threads(fields)};
}

inline StoreShape read_store_shape(const Fields& fields) {
  return {read_side(fields, "imageSize"),
          read_int(fields, "classes", 1, 1'000'000),
          read_int(fields, "trainCapacity", 0, max_pictures),
          read_int(fields, "valCapacity", 0, max_pictures),
          read_side(fields, "trainSize"),
          read_int(fields, "views", 1, 1000),
          read_bool(fields, "hasTeacher")};
}

inline StorePlace read_store_place(const Fields& fields) {
  const std::string fingerprint = read_string(fields, "fingerprint");
  return {read_named(fields, "place", store_places), read_path(fields, "folder"),
          read_bool(fields, "kept") ? fingerprint : ""};
}

struct SessionOptions {
  Preprocessing preprocessing;
  Execution execution;
};

inline SessionOptions read_session_options(const Napi::Value& value) {
  const Fields fields(value, "the session");
  const SessionOptions options{read_preprocessing(fields), read_execution(fields)};
  fields.refuse_others();
  return options;
}

// Null: pictures are left as they are.
inline Augmentation read_augmentation(const Fields& options, const char* name) {
  const Napi::Value value = options.get(name);
  if (value.IsNull()) return {};
  const Fields fields(value, name);
  const Augmentation augmentation{read_named(fields, "crop", crops),
                                  read_double(fields, "minScale"), read_bool(fields, "flip")};
  fields.refuse_others();
  return augmentation;
}

struct StoreOptions {
  StoreShape shape;
  StorePlace place;
  Augmentation view;
  AnswerLogPlace answers;
};

// Null: answers are not kept.
inline AnswerLogPlace read_answer_log_place(const Fields& options) {
  const Napi::Value value = options.get("answers");
  if (value.IsNull()) return {};
  const Fields fields(value, "answers");
  const AnswerLogPlace place{read_path(fields, "file"), read_string(fields, "fingerprint")};
  fields.refuse_others();
  return place;
}

inline StoreOptions read_store_options(const Napi::Value& value) {
  const Fields fields(value, "the store");
  const StoreOptions options{read_store_shape(fields), read_store_place(fields),
                             read_augmentation(fields, "view"), read_answer_log_place(fields)};
  fields.refuse_others();
  return options;
}

inline JsonObject read_metadata(const Fields& fields) {
  const std::string text = read_string(fields, "metadata");
  try {
    return JsonObject::parse(text, "metadata");
  } catch (const Error&) {
    throw wrong_type(fields.env(), "metadata", "a JSON object");
  }
}

// None where it is null.
inline std::optional<double> read_number_or_null(const Fields& fields, const char* name) {
  if (fields.get(name).IsNull()) return std::nullopt;
  return read_double(fields, name);
}

inline std::optional<int64_t> read_count_or_null(const Fields& fields, const char* name) {
  if (fields.get(name).IsNull()) return std::nullopt;
  return read_int(fields, name, 1, 1'000'000'000);
}

// Null: all classes weigh the same.
inline std::optional<at::Tensor> read_class_weights(const Fields& fields) {
  constexpr const char* name = "classWeights";
  const Napi::Value value = fields.get(name);
  if (value.IsNull()) return std::nullopt;
  const auto list = read_list(value, name);
  std::vector<double> weights;
  for (uint32_t i = 0; i < list.Length(); ++i) weights.push_back(read_double(list.Get(i), name));
  return at::tensor(weights, at::kFloat);
}

inline std::vector<std::string> read_paths(const Fields& fields, const char* name) {
  const auto list = read_list(fields.get(name), name);
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < list.Length(); ++i) paths.push_back(read_path(list.Get(i)));
  return paths;
}

// Null: the training is not kept.
inline KeepConfig read_keep_config(const Fields& options) {
  const Napi::Value value = options.get("keep");
  if (value.IsNull()) return {};
  const Fields fields(value, "keep");
  const KeepConfig config{
      .state = read_path(fields, "state"),
      .last = read_path(fields, "last"),
      .every = read_double(fields, "every"),
      .resume = read_bool(fields, "resume"),
      .fingerprint = read_string(fields, "fingerprint"),
  };
  fields.refuse_others();
  return config;
}

struct DistillOptions {
  TrainConfig train;
  DistillConfig distill;
};
struct TeachOptions {
  TrainConfig train;
  TeachConfig teach;
};

// The options that distillations and teachers' trainings share.
inline TrainConfig read_train_config(const Fields& fields, const LossConfig& loss_config,
                                     bool agreement) {
  return {
      .epochs = read_int(fields, "epochs", 1, 1'000'000'000),
      .batch_size = read_int(fields, "batchSize", 1, 1'000'000),
      .sampler = read_named(fields, "sampler", samplers()),
      .seed = static_cast<uint64_t>(read_int(fields, "seed", 0)),
      .learning_rate = read_double(fields, "lr"),
      .schedule = read_named(fields, "schedule", schedules()),
      .warmup_epochs = read_double(fields, "warmup"),
      .make_optimizer = read_named(fields, "optimizer", optimizers()),
      .optimizer = {read_double(fields, "weightDecay")},
      .loss = read_named(fields, "loss", losses()),
      .loss_config = loss_config,
      .augmentation = read_augmentation(fields, "augment"),
      .monitor = read_named(fields, "monitor", monitors),
      .early_stop = read_bool(fields, "earlyStop"),
      .patience = read_count_or_null(fields, "patience"),
      .min_delta = read_double(fields, "minDelta"),
      .max_seconds = read_number_or_null(fields, "maxSeconds"),
      .elapsed = read_double(fields, "elapsed"),
      .paths = read_paths(fields, "files"),
      .keep = read_keep_config(fields),
      .start = read_path(fields, "start"),
      .overwrite = read_bool(fields, "overwrite"),
      .metadata = read_metadata(fields),
      .agreement = agreement,
  };
}

inline DistillConfig read_distill_config(const Fields& fields) {
  return {.architecture = read_path(fields, "architecture"),
          .width = read_double(fields, "width"),
          .drop_rate = read_number_or_null(fields, "dropRate"),
          .initial_student = read_path(fields, "initialStudent")};
}

inline DistillOptions read_distill_options(const Napi::Value& value) {
  const Fields fields(value, "the training");
  const LossConfig loss{.temperature = read_double(fields, "temperature"),
                        .alpha = read_double(fields, "alpha"),
                        .label_smoothing = 0,
                        .class_weights = read_class_weights(fields)};
  const DistillOptions options{read_train_config(fields, loss, read_bool(fields, "agreement")),
                               read_distill_config(fields)};
  fields.refuse_others();
  return options;
}

inline TeachOptions read_teach_options(const Napi::Value& value) {
  const Fields fields(value, "the training");
  // A teacher learns from labels alone: its loss has no soft term.
  const LossConfig loss{.temperature = 1,
                        .alpha = 0,
                        .label_smoothing = read_double(fields, "labelSmoothing"),
                        .class_weights = read_class_weights(fields)};
  const TeachOptions options{read_train_config(fields, loss, /*agreement=*/false),
                             {read_string(fields, "architecture"), read_path(fields, "weights"),
                              read_bool(fields, "averaged"), read_bool(fields, "keepHead"),
                              read_int(fields, "freezeEpochs", 0)}};
  fields.refuse_others();
  return options;
}

}  // namespace distill::node
