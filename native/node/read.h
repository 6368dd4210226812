#pragma once

#include <napi.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "core/names.h"

// Reads plain values out of JavaScript. The façade has checked options for its callers. Here a
// value of another type, an unknown name, or a number beyond what memory can be asked for is a
// mistake of the façade's own: it throws an error that names the field, and never becomes a
// default.
namespace distill::node {

inline constexpr int64_t max_safe_integer = (int64_t{1} << 53) - 1;
// The longest side of a picture, in pixels, and the most pictures: so many bytes can be counted.
inline constexpr int64_t max_side = 4608, max_pictures = 100'000'000;

inline Napi::Error wrong_type(Napi::Env env, const std::string& name, const std::string& expected) {
  Napi::Error error = Napi::TypeError::New(env, name + " is not " + expected);
  error.Set("code", "ERR_INVALID_ARG_TYPE");
  return error;
}
inline Napi::Error out_of_range(Napi::Env env, const std::string& message) {
  Napi::Error error = Napi::RangeError::New(env, message);
  error.Set("code", "ERR_OUT_OF_RANGE");
  return error;
}

// The fields of an object. Each is read by its name; then refuse_others() finds those that nobody
// has read: a misspelt name, or an option that this call does not have.
class Fields {
 public:
  Fields(const Napi::Value& value, const char* name) : name_(name) {
    if (!value.IsObject() || value.IsArray()) throw wrong_type(value.Env(), name, "an object");
    object_ = value.As<Napi::Object>();
  }

  Napi::Env env() const { return object_.Env(); }
  const Napi::Object& object() const { return object_; }
  Napi::Value get(const char* name) const {
    read_.insert(name);
    return object_.Get(name);
  }
  void refuse_others() const {
    const auto names = object_.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string name = names.Get(i).ToString();
      if (!read_.contains(name)) throw wrong_type(env(), name, "a field of " + name_);
    }
  }

 private:
  std::string name_;
  Napi::Object object_;
  mutable std::set<std::string, std::less<>> read_;
};

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
inline std::string read_string(const Fields& fields, const char* name) {
  return read_string(fields.get(name), name);
}

// The value of a name in a table.
template <typename Table>
NamedValue<Table> read_named(const Napi::Value& value, const char* name, const Table& table) {
  const auto found = find_named(table, read_string(value, name));
  if (!found) throw wrong_type(value.Env(), name, list_names(table));
  return *found;
}
template <typename Table>
NamedValue<Table> read_named(const Fields& fields, const char* name, const Table& table) {
  return read_named(fields.get(name), name, table);
}

// A path with a NUL inside would be cut there, and lead to another file.
inline std::string read_path(const Napi::Value& value, const char* name = "path") {
  std::string path = read_string(value, name);
  if (path.find('\0') != std::string::npos) {
    throw wrong_type(value.Env(), name, "a path without NUL bytes");
  }
  return path;
}
inline std::string read_path(const Fields& fields, const char* name) {
  return read_path(fields.get(name), name);
}

inline double read_double(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw wrong_type(value.Env(), name, "a number");
  const double number = value.As<Napi::Number>();
  if (!std::isfinite(number)) throw out_of_range(value.Env(), std::string(name) + " is not finite");
  return number;
}
inline double read_double(const Fields& fields, const char* name) {
  return read_double(fields.get(name), name);
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
inline int64_t read_int(const Fields& fields, const char* name, int64_t least = -max_safe_integer,
                        int64_t most = max_safe_integer) {
  return read_int(fields.get(name), name, least, most);
}
// 0: LibTorch's choice.
inline int64_t read_threads(const Fields& fields) {
  return read_int(fields, "threads", 0, 4096);
}

inline bool read_bool(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) throw wrong_type(value.Env(), name, "a boolean");
  return value.As<Napi::Boolean>();
}
inline bool read_bool(const Fields& fields, const char* name) {
  return read_bool(fields.get(name), name);
}

inline std::array<double, 3> read_triple(const Fields& fields, const char* name) {
  const auto triple = read_list(fields.get(name), name);
  if (triple.Length() != 3) throw wrong_type(fields.env(), name, "a list of three numbers");
  std::array<double, 3> values;
  for (uint32_t i = 0; i < 3; ++i) values[i] = read_double(triple.Get(i), name);
  return values;
}

// Borrowed: the array must be kept alive while it is used.
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
// An array of either type that tensors have in JavaScript.
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
Array read_array(const Fields& fields, const char* name) {
  return read_array<Array>(fields.get(name), name);
}

// The number of pictures (side, side, 3) in an array: whole ones, and one at least.
inline int64_t count_pictures(const Napi::Uint8Array& pixels, int64_t side) {
  const auto length = static_cast<int64_t>(pixels.ElementLength());
  if (length == 0 || length % (side * side * 3) != 0) {
    throw out_of_range(pixels.Env(), "pixels are not whole pictures with sides of " +
                                         std::to_string(side) + " pixels");
  }
  return length / (side * side * 3);
}

}  // namespace distill::node
