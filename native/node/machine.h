#pragma once

#include <napi.h>

namespace distill::node {

// What LibTorch finds itself on. lib/native.ts describes it.
void register_machine(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
