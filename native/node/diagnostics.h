#pragma once

#include <napi.h>

namespace distill::node {

// What tests look at inside a step, and benchmarks compare it with. lib/native.ts describes it.
void register_diagnostics(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
