#pragma once

#include <napi.h>

namespace distill::node {

// Registers single steps of a training, which parity tests compare. lib/native.ts describes them.
void register_step_diagnostics(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
