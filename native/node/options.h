#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <string>

#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/training/config.h"
#include "node/read.h"

// What the addon's calls are told.
namespace distill::node {

// A text for people, or null where there is nothing to say.
inline Napi::Value text_or_null(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : static_cast<Napi::Value>(Napi::String::New(env, text));
}

// None where it is left out.
inline at::ArrayRef<float> read_floats(const Napi::Object& object, const char* name) {
  if (object.Get(name).IsUndefined()) return {};
  const auto array = read_array<Napi::Float32Array>(object, name);
  return {array.Data(), array.ElementLength()};
}

inline int64_t read_side(const Napi::Object& object, const char* name) {
  return read_int(object, name, 1, max_side);
}

inline Preprocessing read_preprocessing(const Napi::Object& object) {
  return {read_side(object, "imageSize"), read_triple(object, "mean"), read_triple(object, "std")};
}

inline StoreShape read_store_shape(const Napi::Object& object) {
  StoreShape shape{read_side(object, "imageSize"), read_int(object, "classes", 1, 1'000'000),
                   read_int(object, "trainCapacity", 0, max_pictures),
                   read_int(object, "valCapacity", 0, max_pictures)};
  shape.train_size = object.Has("trainSize") ? read_side(object, "trainSize") : shape.image_size;
  shape.views = object.Has("views") ? read_int(object, "views", 1, 1000) : 1;
  shape.has_teacher = !object.Has("hasTeacher") || read_bool(object, "hasTeacher");
  return shape;
}

inline StorePlace read_store_place(const Napi::Object& object) {
  return {read_string(object, "place") == "memory", read_path(object, "folder"),
          read_bool(object, "kept") ? read_string(object, "fingerprint") : ""};
}

inline Augmentation read_augmentation(const Napi::Value& value) {
  Augmentation augmentation;
  if (value.IsUndefined()) return augmentation;
  const auto object = read_object(value, "augmentation");
  const std::string crop = read_string(object, "crop");
  if (crop == "random") {
    augmentation.crop = Augmentation::Crop::random;
  } else if (crop == "resized") {
    augmentation.crop = Augmentation::Crop::resized;
  } else if (crop != "center") {
    throw wrong_type(object.Env(), "crop", "'center', 'random' or 'resized'");
  }
  augmentation.min_scale = read_double(object, "minScale");
  augmentation.flip = read_bool(object, "flip");
  return augmentation;
}

inline Schedule::Kind read_schedule(const Napi::Object& object) {
  if (!object.Has("schedule")) return Schedule::Kind::constant;
  const std::string kind = read_string(object, "schedule");
  if (kind == "one-cycle") return Schedule::Kind::one_cycle;
  if (kind == "cosine") return Schedule::Kind::cosine;
  if (kind == "constant") return Schedule::Kind::constant;
  throw wrong_type(object.Env(), "schedule", "'one-cycle', 'cosine' or 'constant'");
}

// path: the name of the option that says where the network goes.
inline TrainConfig read_train_config(const Napi::Object& object, const char* path) {
  TrainConfig config;
  config.epochs = read_int(object, "epochs", 1, 1'000'000'000);
  config.batch_size = read_int(object, "batchSize", 1, 1'000'000);
  config.shuffle = read_bool(object, "shuffle");
  config.seed = static_cast<uint64_t>(read_int(object, "seed", 0));
  config.learning_rate = read_double(object, "lr");
  config.schedule = read_schedule(object);
  if (object.Has("warmup")) config.warmup_epochs = read_double(object, "warmup");
  if (object.Has("weightDecay")) config.weight_decay = read_double(object, "weightDecay");
  config.augmentation = read_augmentation(object.Get("augment"));
  config.path = read_path(object, path);
  if (object.Has("start")) config.start = read_path(object, "start");
  config.overwrite = read_bool(object, "overwrite");
  config.metadata = read_string(object, "metadata");
  config.agreement = read_bool(object, "agreement");
  return config;
}

inline Keep read_keep(const Napi::Object& object) {
  const std::string keep = object.Has("keep") ? read_string(object, "keep") : "both";
  if (keep == "both") return Keep::both;
  if (keep == "accuracy") return Keep::accuracy;
  if (keep == "loss") return Keep::loss;
  throw wrong_type(object.Env(), "keep", "'both', 'accuracy' or 'loss'");
}

inline DistillConfig read_distill_config(const Napi::Object& object) {
  return {read_double(object, "dropRate"), read_double(object, "temperature"),
          read_double(object, "alpha"), read_path(object, "initialStudent"), read_keep(object)};
}

inline TeachConfig read_teach_config(const Napi::Object& object) {
  return {read_string(object, "architecture"), read_path(object, "weights"),
          read_bool(object, "keepHead"), read_double(object, "labelSmoothing"),
          read_int(object, "freezeEpochs")};
}

}  // namespace distill::node
