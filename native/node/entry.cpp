#include "node/entry.h"

namespace distill::node {

Napi::Error current_error(Napi::Env env) {
  try {
    throw;
  } catch (const Napi::Error& error) {
    return error;
  } catch (...) {
    const Failure failure = current_failure();
    Napi::Error error = Napi::Error::New(env, failure.message);
    error.Set("code", Napi::String::New(env, failure.code));
    return error;
  }
}

}  // namespace distill::node
