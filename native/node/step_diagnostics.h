#pragma once

#include <napi.h>

namespace distill::node {

// What tests look at inside a step. lib/native.ts describes it.
void register_step_diagnostics(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
