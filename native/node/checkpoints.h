#pragma once

#include <napi.h>

namespace distill::node {

// What JavaScript asks of .pth files. lib/native.ts describes it.
void register_checkpoints(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
