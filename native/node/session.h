#pragma once

#include <napi.h>

namespace distill::node {

// One distillation in JavaScript's hands: the teacher, the prepared store and the thread that works
// on them. lib/native.ts describes it.
void register_session(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
