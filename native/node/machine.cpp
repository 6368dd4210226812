#include "node/machine.h"

#include <memory>

#include "core/device/machine.h"
#include "node/worker.h"

namespace distill::node {
namespace {

Napi::Value to_value(Napi::Env env, const Machine& machine) {
  auto features = Napi::Array::New(env, machine.features.size());
  for (uint32_t i = 0; i < machine.features.size(); ++i) features.Set(i, machine.features[i]);
  auto gpus = Napi::Array::New(env, machine.gpus.size());
  for (uint32_t i = 0; i < machine.gpus.size(); ++i) {
    auto gpu = Napi::Object::New(env);
    gpu.Set("device", machine.gpus[i].device);
    gpu.Set("memory", static_cast<double>(machine.gpus[i].memory));
    gpu.Set("free", static_cast<double>(machine.gpus[i].free));
    gpu.Set("peak", static_cast<double>(machine.gpus[i].peak));
    gpus.Set(i, gpu);
  }
  auto object = Napi::Object::New(env);
  object.Set("libtorch", machine.libtorch);
  object.Set("cuda", machine.cuda);
  object.Set("features", features);
  object.Set("threads", static_cast<double>(machine.threads));
  object.Set("gpus", gpus);
  return object;
}

Napi::Value machine(Worker& worker, const Napi::CallbackInfo& info) {
  return worker.run<Machine>(
      info.Env(), [](Channel&) { return describe_machine(); }, to_value);
}

}  // namespace

void register_machine(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, {{"machine", machine}});
}

}  // namespace distill::node
