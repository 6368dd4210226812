#pragma once

#include <napi.h>

namespace distill::node {

// Registers the class Session. lib/native.ts describes it.
void register_session(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
