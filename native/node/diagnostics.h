#pragma once

#include <napi.h>

namespace distill::node {

// Registers the measurements that benchmarks compare a step with. lib/native.ts describes them.
void register_diagnostics(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
