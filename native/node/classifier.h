#pragma once

#include <napi.h>

namespace distill::node {

// Registers the class Classifier. lib/native.ts describes it.
void register_classifier(Napi::Env env, Napi::Object exports);

}  // namespace distill::node
