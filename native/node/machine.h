#pragma once

#include <napi.h>

namespace distill::node {

// Registers machine(), which describes the machine. lib/native.ts describes it.
void register_machine(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
