#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <string>

#include "core/config.h"
#include "core/sample_store.h"

// Plain values out of JavaScript objects. The façade has checked types and ranges; a wrong type
// here still throws a TypeError rather than being read as something else.
namespace distill::node {

inline std::string read_string(const Napi::Object& object, const char* name) {
  return object.Get(name).ToString().Utf8Value();
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

inline StoreShape read_store_shape(const Napi::Object& object) {
  return {read_int(object, "imageSize"), read_int(object, "classes"),
          read_int(object, "trainCapacity"), read_int(object, "valCapacity")};
}

inline TrainConfig read_train_config(const Napi::Object& object) {
  TrainConfig config;
  config.epochs = read_int(object, "epochs");
  config.learning_rate = read_double(object, "lr");
  config.drop_rate = read_double(object, "dropRate");
  config.temperature = read_double(object, "temperature");
  config.alpha = read_double(object, "alpha");
  config.batch_size = read_int(object, "batchSize");
  config.shuffle = read_bool(object, "shuffle");
  config.seed = static_cast<uint64_t>(read_int(object, "seed"));
  config.student_path = read_string(object, "student");
  config.initial_student = read_string(object, "initialStudent");
  config.metadata = read_string(object, "metadata");
  return config;
}

}  // namespace distill::node
