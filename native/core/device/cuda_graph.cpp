#include "core/device/cuda_graph.h"

#include <ATen/core/GraphImplInterface.h>
#include <dlfcn.h>

#include <memory>

#include "core/device/cuda_library.h"

namespace distill {
namespace {

// The members of at::cuda::CUDAGraph, whose header needs CUDA's own, as libtorch_cuda exports them:
// functions whose first argument is the object. They are the same in LibTorch 2.13 and 2.14.
struct Members {
  template <typename Function>
  static Function* find(const char* name) {
    void* const handle = cuda_library().handle;
    return reinterpret_cast<Function*>(handle ? ::dlsym(handle, name) : nullptr);
  }

  using Simple = void(void* self);
  void (*construct)(void* self,
                    bool keep_graph) = find<void(void*, bool)>("_ZN2at4cuda9CUDAGraphC1Eb");
  Simple* destroy = find<Simple>("_ZN2at4cuda9CUDAGraphD1Ev");
  // The mode is CUDA's enumeration: 0 global, 1 thread-local, 2 relaxed.
  void (*capture_begin)(void* self, at::MempoolId_t pool, unsigned int mode) =
      find<void(void*, at::MempoolId_t, unsigned int)>(
          "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
  Simple* capture_end = find<Simple>("_ZN2at4cuda9CUDAGraph11capture_endEv");
  Simple* instantiate = find<Simple>("_ZN2at4cuda9CUDAGraph11instantiateEv");
  Simple* replay = find<Simple>("_ZN2at4cuda9CUDAGraph6replayEv");
  Simple* reset = find<Simple>("_ZN2at4cuda9CUDAGraph5resetEv");
  at::MempoolId_t (*pool)(void* self) =
      find<at::MempoolId_t(void*)>("_ZN2at4cuda9CUDAGraph4poolEv");

  bool are_complete() const {
    return construct && destroy && capture_begin && capture_end && instantiate && replay && reset &&
           pool;
  }
};

const Members& members() {
  static const Members members;
  return members;
}

class CudaGraph final : public at::GraphImplInterface {
 public:
  explicit CudaGraph(const at::GraphImplArgs& args) {
    members().construct(graph_, args.keep_graph);
  }
  ~CudaGraph() override { members().destroy(graph_); }

  void capture_begin(at::MempoolId_t pool, at::GraphCaptureMode mode) override {
    const unsigned int cuda_mode = mode == at::GraphCaptureMode::ThreadLocal ? 1
                                   : mode == at::GraphCaptureMode::Relaxed   ? 2
                                                                             : 0;
    members().capture_begin(graph_, pool, cuda_mode);
  }
  void capture_end() override { members().capture_end(graph_); }
  void instantiate() override { members().instantiate(graph_); }
  void replay() override { members().replay(graph_); }
  void reset() override { members().reset(graph_); }
  at::MempoolId_t pool() const override { return members().pool(graph_); }
  void enable_debug_mode() override {}
  void debug_dump(const std::string&) override {}

 private:
  // With room to grow: it takes 344 bytes in LibTorch 2.13, and 448 in 2.14.
  alignas(std::max_align_t) mutable std::byte graph_[4096];
};

}  // namespace

void register_cuda_graphs() {
  if (!cuda_library().handle || at::has_graph_impl(at::kCUDA) || !members().are_complete()) return;
  at::GraphImplRegistry()->Register("CUDA", [](const at::GraphImplArgs& args) {
    return std::unique_ptr<at::GraphImplInterface>(std::make_unique<CudaGraph>(args));
  });
}

}  // namespace distill
