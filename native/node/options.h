#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <string>

#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/training/config.h"

// Plain values out of JavaScript objects. The façade has checked types and ranges; a wrong type
// here still throws a TypeError rather than being read as something else.
namespace distill::node {

inline std::string read_string(const Napi::Object& object, const char* name) {
  return object.Get(name).ToString().Utf8Value();
}
// The façade lets no path with a NUL inside pass: it would be cut there, and be another file's.
inline std::string read_path(const Napi::Value& value) {
  std::string path = value.ToString().Utf8Value();
  if (path.find('\0') != std::string::npos) {
    throw Napi::TypeError::New(value.Env(), "a path with a NUL byte");
  }
  return path;
}
inline std::string read_path(const Napi::Object& object, const char* name) {
  return read_path(object.Get(name));
}
inline double read_double(const Napi::Object& object, const char* name) {
  return object.Get(name).ToNumber().DoubleValue();
}
inline int64_t read_int(const Napi::Object& object, const char* name) {
  return object.Get(name).ToNumber().Int64Value();
}
inline bool read_bool(const Napi::Object& object, const char* name) {
  return object.Get(name).ToBoolean().Value();
}
inline std::array<double, 3> read_triple(const Napi::Object& object, const char* name) {
  const auto triple = object.Get(name).ToObject();
  std::array<double, 3> values;
  for (uint32_t i = 0; i < 3; ++i) values[i] = triple.Get(i).ToNumber().DoubleValue();
  return values;
}

// A text for people, or null where there is nothing to say.
inline Napi::Value text_or_null(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : static_cast<Napi::Value>(Napi::String::New(env, text));
}

// Borrowed from a Float32Array, which must be kept; none where it is left out.
inline at::ArrayRef<float> read_floats(const Napi::Object& object, const char* name) {
  const auto value = object.Get(name);
  if (value.IsUndefined()) return {};
  const auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.ElementLength()};
}

inline Preprocessing read_preprocessing(const Napi::Object& object) {
  return {read_int(object, "imageSize"), read_triple(object, "mean"), read_triple(object, "std")};
}

// Options that may be left out.
inline int64_t read_int(const Napi::Object& object, const char* name, int64_t otherwise) {
  return object.Has(name) ? read_int(object, name) : otherwise;
}
inline double read_double(const Napi::Object& object, const char* name, double otherwise) {
  return object.Has(name) ? read_double(object, name) : otherwise;
}

inline StoreShape read_store_shape(const Napi::Object& object) {
  StoreShape shape{read_int(object, "imageSize"), read_int(object, "classes"),
                   read_int(object, "trainCapacity"), read_int(object, "valCapacity")};
  shape.train_size = read_int(object, "trainSize", shape.image_size);
  shape.views = read_int(object, "views", 1);
  shape.has_teacher = !object.Has("hasTeacher") || read_bool(object, "hasTeacher");
  return shape;
}

inline StorePlace read_store_place(const Napi::Object& object) {
  return {read_string(object, "place") == "memory", read_path(object, "folder"),
          read_bool(object, "kept") ? read_string(object, "fingerprint") : ""};
}

inline Augmentation read_augmentation(const Napi::Value& value) {
  Augmentation augmentation;
  if (!value.IsObject()) return augmentation;
  const auto object = value.ToObject();
  const std::string crop = read_string(object, "crop");
  augmentation.crop = crop == "random"    ? Augmentation::Crop::random
                      : crop == "resized" ? Augmentation::Crop::resized
                                          : Augmentation::Crop::center;
  augmentation.min_scale = read_double(object, "minScale");
  augmentation.flip = read_bool(object, "flip");
  return augmentation;
}

inline Schedule::Kind read_schedule(const Napi::Object& object) {
  if (!object.Has("schedule")) return Schedule::Kind::constant;
  const std::string kind = read_string(object, "schedule");
  return kind == "one-cycle" ? Schedule::Kind::one_cycle
         : kind == "cosine"  ? Schedule::Kind::cosine
                             : Schedule::Kind::constant;
}

// path: the name of the option that says where the network goes.
inline TrainConfig read_train_config(const Napi::Object& object, const char* path) {
  TrainConfig config;
  config.epochs = read_int(object, "epochs");
  config.batch_size = read_int(object, "batchSize");
  config.shuffle = read_bool(object, "shuffle");
  config.seed = static_cast<uint64_t>(read_int(object, "seed"));
  config.learning_rate = read_double(object, "lr");
  config.schedule = read_schedule(object);
  config.warmup_epochs = read_double(object, "warmup", 0);
  config.weight_decay = read_double(object, "weightDecay", 0);
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
  throw Napi::TypeError::New(object.Env(), "keep is 'both', 'accuracy' or 'loss', not " + keep);
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
