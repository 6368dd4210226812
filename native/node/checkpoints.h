#pragma once

#include <napi.h>

namespace distill::node {

// Registers the functions that read and write checkpoints. lib/native.ts describes them.
void register_checkpoints(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
