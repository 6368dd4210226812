#pragma once

#include <napi.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>

// Plain values out of JavaScript. The façade has checked types and ranges; what is of another type
// or beyond what memory can be asked for still throws an error rather than being read as something
// else.
namespace distill::node {

inline constexpr int64_t max_safe_integer = (int64_t{1} << 53) - 1;
// Pixels a side of a picture, and pictures, at most: so many bytes can still be counted.
inline constexpr int64_t max_side = 4608, max_pictures = 100'000'000;

inline Napi::Error wrong_type(Napi::Env env, const std::string& name, const char* expected) {
  Napi::Error error = Napi::TypeError::New(env, name + " is not " + expected);
  error.Set("code", "ERR_INVALID_ARG_TYPE");
  return error;
}
inline Napi::Error out_of_range(Napi::Env env, const std::string& message) {
  Napi::Error error = Napi::RangeError::New(env, message);
  error.Set("code", "ERR_OUT_OF_RANGE");
  return error;
}

inline Napi::Object read_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throw wrong_type(value.Env(), name, "an object");
  return value.As<Napi::Object>();
}
inline Napi::Function read_function(const Napi::Value& value, const char* name) {
  if (!value.IsFunction()) throw wrong_type(value.Env(), name, "a function");
  return value.As<Napi::Function>();
}
inline Napi::Array read_list(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) throw wrong_type(value.Env(), name, "a list");
  return value.As<Napi::Array>();
}

inline std::string read_string(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw wrong_type(value.Env(), name, "a string");
  return value.As<Napi::String>();
}
inline std::string read_string(const Napi::Object& object, const char* name) {
  return read_string(object.Get(name), name);
}

// The façade lets no path with a NUL inside pass: it would be cut there, and be another file's.
inline std::string read_path(const Napi::Value& value, const char* name = "path") {
  std::string path = read_string(value, name);
  if (path.find('\0') != std::string::npos) {
    throw wrong_type(value.Env(), name, "a path without NUL bytes");
  }
  return path;
}
inline std::string read_path(const Napi::Object& object, const char* name) {
  return read_path(object.Get(name), name);
}

inline double read_double(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw wrong_type(value.Env(), name, "a number");
  const double number = value.As<Napi::Number>();
  if (!std::isfinite(number)) throw out_of_range(value.Env(), std::string(name) + " is not finite");
  return number;
}
inline double read_double(const Napi::Object& object, const char* name) {
  return read_double(object.Get(name), name);
}
inline int64_t read_int(const Napi::Value& value, const char* name,
                        int64_t least = -max_safe_integer, int64_t most = max_safe_integer) {
  const double number = read_double(value, name);
  if (number != std::trunc(number) || number < static_cast<double>(least) ||
      number > static_cast<double>(most)) {
    throw out_of_range(value.Env(), std::string(name) + " is not a whole number in " +
                                        std::to_string(least) + ".." + std::to_string(most));
  }
  return static_cast<int64_t>(number);
}
inline int64_t read_int(const Napi::Object& object, const char* name,
                        int64_t least = -max_safe_integer, int64_t most = max_safe_integer) {
  return read_int(object.Get(name), name, least, most);
}
// 0 is LibTorch's choice.
inline int64_t read_threads(const Napi::Object& object) {
  return read_int(object, "threads", 0, 4096);
}

// False where it is left out.
inline bool read_bool(const Napi::Object& object, const char* name) {
  const auto value = object.Get(name);
  if (value.IsUndefined()) return false;
  if (!value.IsBoolean()) throw wrong_type(object.Env(), name, "a boolean");
  return value.As<Napi::Boolean>();
}

inline std::array<double, 3> read_triple(const Napi::Object& object, const char* name) {
  const auto triple = read_list(object.Get(name), name);
  std::array<double, 3> values;
  for (uint32_t i = 0; i < 3; ++i) values[i] = read_double(triple.Get(i), name);
  return values;
}

// Borrowed: the array must be kept.
template <typename Array>
Array read_array(const Napi::Value& value, const char* name);
template <>
inline Napi::Uint8Array read_array(const Napi::Value& value, const char* name) {
  const bool fits =
      value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!fits) throw wrong_type(value.Env(), name, "a Uint8Array");
  return value.As<Napi::Uint8Array>();
}
template <>
inline Napi::Int32Array read_array(const Napi::Value& value, const char* name) {
  const bool fits =
      value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array;
  if (!fits) throw wrong_type(value.Env(), name, "an Int32Array");
  return value.As<Napi::Int32Array>();
}
template <>
inline Napi::Float32Array read_array(const Napi::Value& value, const char* name) {
  const bool fits =
      value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
  if (!fits) throw wrong_type(value.Env(), name, "a Float32Array");
  return value.As<Napi::Float32Array>();
}
// Of either kind that tensors have in JavaScript.
template <>
inline Napi::TypedArray read_array(const Napi::Value& value, const char* name) {
  const auto type =
      value.IsTypedArray() ? value.As<Napi::TypedArray>().TypedArrayType() : napi_float64_array;
  if (type != napi_float32_array && type != napi_uint8_array) {
    throw wrong_type(value.Env(), name, "a Float32Array or a Uint8Array");
  }
  return value.As<Napi::TypedArray>();
}
template <typename Array>
Array read_array(const Napi::Object& object, const char* name) {
  return read_array<Array>(object.Get(name), name);
}

// How many pictures (side, side, 3) there are in an array: whole ones, and one at least.
inline int64_t count_pictures(const Napi::Uint8Array& pixels, int64_t side) {
  const auto length = static_cast<int64_t>(pixels.ElementLength());
  if (length == 0 || length % (side * side * 3) != 0) {
    throw out_of_range(pixels.Env(), "pixels are not whole pictures of " + std::to_string(side) +
                                         " pixels a side");
  }
  return length / (side * side * 3);
}

}  // namespace distill::node
