#pragma once

#include <napi.h>

namespace distill::node {

// What benchmarks compare a step with. lib/native.ts describes it.
void register_diagnostics(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
