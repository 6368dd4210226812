#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

// The entry points of the addon: each call from JavaScript comes through here, and no C++ exception
// leaves here as one.
namespace distill::node {

// A failure on its way to JavaScript.
struct Failure {
  std::string code, message;
};
// The exception in flight as code and message, one sentence without a backtrace. Each addon has its
// own version: only one of them knows LibTorch's exceptions.
Failure current_failure();

// The exception in flight as a JavaScript error with a `code`. Errors that JavaScript has thrown,
// or a reader of its values, stay as they are.
Napi::Error current_error(Napi::Env env);

// Runs the body of a function, and throws its exceptions in JavaScript.
template <typename Body>
auto guarded(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw current_error(env);
  }
}

// Runs the body of a function that returns a promise, and rejects the promise with its exceptions.
template <typename Body>
Napi::Value guarded_promise(Napi::Env env, const Body& body) {
  return guarded(env, [&]() -> Napi::Value {
    try {
      return body();
    } catch (...) {
      const auto deferred = Napi::Promise::Deferred::New(env);
      deferred.Reject(current_error(env).Value());
      return deferred.Promise();
    }
  });
}

// The object that a method is called on.
inline Napi::Object this_of(const Napi::CallbackInfo& info) {
  return info.This().As<Napi::Object>();
}

// A function of JavaScript that returns a promise.
template <typename Body>
Napi::Function promising(Napi::Env env, const Body& body) {
  return Napi::Function::New(env, [body](const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] { return body(info); });
  });
}

// A class of JavaScript, whose instances each own a T: made by T(info), with methods that are
// called with `info` as well. (JavaScript's engine refuses to call them on other objects.)
template <typename T>
class Class {
 public:
  using Method = Napi::Value (T::*)(const Napi::CallbackInfo&);

  // A method that returns at once.
  template <Method method>
  Class& with(const char* name) {
    return add(name, [](napi_env env, napi_callback_info raw) {
      return enter(env, raw, [](const Napi::CallbackInfo& info) { return call<method>(info); });
    });
  }

  // A method that returns a promise.
  template <Method method>
  Class& with_promise(const char* name) {
    return add(name, [](napi_env env, napi_callback_info raw) {
      return enter(env, raw, [](const Napi::CallbackInfo& info) {
        return guarded_promise(info.Env(), [&] { return call<method>(info); });
      });
    });
  }

  Napi::Function define(Napi::Env env, const char* name) const {
    napi_value made;
    check(env, napi_define_class(env, name, NAPI_AUTO_LENGTH, construct, nullptr,
                                 properties_.size(), properties_.data(), &made));
    return {env, made};
  }

 private:
  Class& add(const char* name, napi_callback method) {
    napi_property_descriptor property{};
    property.utf8name = name;
    property.method = method;
    property.attributes = napi_default_method;
    properties_.push_back(property);
    return *this;
  }

  static void check(Napi::Env env, napi_status status) {
    if (status != napi_ok) throw Napi::Error::New(env);
  }

  template <typename Body>
  static napi_value enter(napi_env env, napi_callback_info raw, const Body& body) noexcept {
    try {
      try {
        return body(Napi::CallbackInfo(env, raw));
      } catch (...) {
        current_error(env).ThrowAsJavaScriptException();
      }
    } catch (...) {
      // The environment is ending: nothing can receive the error.
    }
    return nullptr;
  }

  template <Method method>
  static Napi::Value call(const Napi::CallbackInfo& info) {
    void* instance = nullptr;
    check(info.Env(), napi_unwrap(info.Env(), info.This(), &instance));
    return (static_cast<T*>(instance)->*method)(info);
  }

  static napi_value construct(napi_env env, napi_callback_info raw) {
    return enter(env, raw, [](const Napi::CallbackInfo& info) {
      if (!info.IsConstructCall()) {
        throw Napi::TypeError::New(info.Env(), "a class is called with new");
      }
      auto instance = std::make_unique<T>(info);
      check(info.Env(),
            napi_wrap(
                info.Env(), info.This(), instance.get(),
                [](napi_env, void* instance, void*) { delete static_cast<T*>(instance); },
                /*finalize_hint=*/nullptr, /*result=*/nullptr));
      instance.release();
      return info.This();
    });
  }

  std::vector<napi_property_descriptor> properties_;
};

}  // namespace distill::node
