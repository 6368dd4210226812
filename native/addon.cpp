#include <napi.h>
#include <torch/headeronly/version.h>

#include "core/device/cuda_graph.h"
#include "core/device/cuda_library.h"
#include "core/device/memory.h"
#include "core/parallel/openmp.h"
#include "node/checkpoints.h"
#include "node/classifier.h"
#include "node/diagnostics.h"
#include "node/machine.h"
#include "node/session.h"
#include "node/step_diagnostics.h"
#include "node/worker.h"

// lib/native.ts describes all exports, with their errors and the owners of memory.
using namespace distill::node;

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  return guarded(env, [&] {
    distill::register_cuda_graphs();
    distill::keep_freed_memory();
    distill::replace_openmp();
    exports.Set("libtorch", TORCH_VERSION);
    exports.Set("cuda", distill::cuda_library().handle != nullptr);
    register_checkpoints(env, exports);
    register_diagnostics(env, exports);
    register_step_diagnostics(env, exports);
    register_machine(env, exports);
    register_session(env, exports);
    register_classifier(env, exports);
    exports.Set("shutDown", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                  guarded(info.Env(), [&] { Worker::shut_down_all(info.Env()); });
                }));
    return exports;
  });
}

NODE_API_MODULE(distill, init)
