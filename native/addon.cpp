#include <napi.h>
#include <torch/headeronly/version.h>

#include "core/device/cuda_graph.h"
#include "core/device/cuda_library.h"
#include "core/device/memory.h"
#include "node/checkpoints.h"
#include "node/classifier.h"
#include "node/diagnostics.h"
#include "node/machine.h"
#include "node/session.h"
#include "node/step_diagnostics.h"
#include "node/worker.h"

// lib/native.ts describes what is exported here, with its errors and who owns what.
static Napi::Object init(Napi::Env env, Napi::Object exports) {
  distill::register_cuda_graphs();
  distill::keep_freed_memory();
  exports.Set("libtorch", TORCH_VERSION);
  exports.Set("cuda", distill::cuda_library().handle != nullptr);
  distill::node::register_checkpoints(env, exports);
  distill::node::register_diagnostics(env, exports);
  distill::node::register_step_diagnostics(env, exports);
  distill::node::register_machine(env, exports);
  distill::node::register_session(env, exports);
  distill::node::register_classifier(env, exports);
  exports.Set("shutDown", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                distill::node::Worker::shut_down_all(info.Env());
              }));
  return exports;
}

NODE_API_MODULE(distill, init)
