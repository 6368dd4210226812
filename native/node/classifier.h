#pragma once

#include <napi.h>

namespace distill::node {

// A trained model that answers for batches of pictures. lib/native.ts describes it.
void register_classifier(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
