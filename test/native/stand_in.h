#pragma once

// A stand-in for a device that is not the CPU: its memory is the host's and its kernels are the
// CPU's, made known to LibTorch as any accelerator is. It counts what a GPU would wait for, refuses
// what a GPU refuses while a graph is being captured, and replays what was captured, in the same
// memory. Included by one program only.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/GraphImplInterface.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>
#include <sstream>

#include "core/device/graph.h"

using namespace distill;

namespace {

const at::Device stand_in(at::kPrivateUse1, 0);

// The host's work with the device since the counts were last reset. Backward passes have a thread
// of their own, which the host's thread waits for.
struct Counts {
  int64_t waits = 0;        // for results: copies to the host and events that are waited for
  int64_t allocations = 0;  // of device memory
  int64_t kernels = 0;      // that were queued one by one
  int64_t copies = 0;       // to the device
  int64_t replays = 0;
  int64_t refused = 0;  // what may not be done while a graph is captured
  // Device memory taken and kernels queued between two replays of a graph, with no other between.
  std::vector<std::pair<int64_t, int64_t>> between;
};
Counts counts;
size_t free_memory = size_t{1} << 40;

// ---- Graphs ----------------------------------------------------------------------------------

using Recording = std::vector<std::function<void()>>;
Recording* recording = nullptr;  // while a graph is captured

class StandInGraph final : public at::GraphImplInterface {
 public:
  explicit StandInGraph(const at::GraphImplArgs&) {}
  void capture_begin(at::MempoolId_t, at::GraphCaptureMode) override { recording = &recorded_; }
  void capture_end() override { recording = nullptr; }
  void instantiate() override {}
  void replay() override {
    if (counts.replays++ > 0 && last_ == this) {
      counts.between.emplace_back(counts.allocations - allocations_, counts.kernels - kernels_);
    }
    last_ = this;
    allocations_ = counts.allocations;
    kernels_ = counts.kernels;
    for (const auto& kernel : recorded_) kernel();
  }
  void reset() override { recorded_.clear(); }
  at::MempoolId_t pool() const override { return {0, 0}; }
  void enable_debug_mode() override {}
  void debug_dump(const std::string&) override {}

 private:
  inline static const StandInGraph* last_ = nullptr;  // to be replayed
  Recording recorded_;
  int64_t allocations_ = 0, kernels_ = 0;  // at the last replay
};

void refuse_in_capture(const char* what) {
  if (!recording) return;
  ++counts.refused;
  TORCH_CHECK(false, what, " while a graph is captured");
}

// ---- Memory ----------------------------------------------------------------------------------

class Memory final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    ++counts.allocations;
    void* const data = bytes ? std::malloc(bytes) : nullptr;
    return {data, data, &std::free, stand_in};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override { return {}; }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {}
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override {
    return {free_memory, free_memory};
  }
};

// Memory that the system does not move; a copy from any other is one that the host waits for.
class PinnedMemory final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    refuse_in_capture("pinned memory taken");
    void* const data = std::malloc(std::max<size_t>(bytes, 1));
    const std::lock_guard lock(mutex());
    pinned().insert(data);
    return {data, data, &release, at::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  static bool holds(const void* data) {
    const std::lock_guard lock(mutex());
    return pinned().contains(const_cast<void*>(data));
  }

 private:
  static void release(void* data) {
    const std::lock_guard lock(mutex());
    pinned().erase(data);
    std::free(data);
  }
  static std::mutex& mutex() {
    static std::mutex mutex;
    return mutex;
  }
  static std::set<void*>& pinned() {
    static std::set<void*> pinned;
    return pinned;
  }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool isPinnedPtr(const void* data) const override { return PinnedMemory::holds(data); }
  at::Allocator* getPinnedMemoryAllocator() const override {
    static PinnedMemory memory;
    return &memory;
  }
  at::Device getDeviceFromPtr(void*) const override { return stand_in; }
};

// ---- Streams and events ----------------------------------------------------------------------

thread_local c10::StreamId current = 0;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  using Clock = std::chrono::steady_clock;

  at::DeviceType type() const override { return at::kPrivateUse1; }
  at::Device exchangeDevice(at::Device) const override { return stand_in; }
  at::Device getDevice() const override { return stand_in; }
  void setDevice(at::Device) const override {}
  void uncheckedSetDevice(at::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Stream getStream(at::Device) const override { return stream(current); }
  c10::Stream getDefaultStream(at::Device) const override { return stream(0); }
  c10::Stream getStreamFromGlobalPool(at::Device, bool) const override {
    static c10::StreamId last = 0;
    return stream(++last);
  }
  c10::Stream exchangeStream(c10::Stream other) const override {
    return stream(std::exchange(current, other.id()));
  }
  void record(void** event, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {
    if (!*event) *event = new Clock::time_point;
    *static_cast<Clock::time_point*>(*event) = Clock::now();
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override {
    refuse_in_capture("an event waited for");
    ++counts.waits;
  }
  void synchronizeStream(const c10::Stream&) const override {
    refuse_in_capture("a stream waited for");
    ++counts.waits;
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<Clock::time_point*>(event);
  }
  double elapsedTime(void* from, void* to, c10::DeviceIndex) const override {
    return std::chrono::duration<double, std::milli>(*static_cast<Clock::time_point*>(to) -
                                                     *static_cast<Clock::time_point*>(from))
        .count();
  }

 private:
  static c10::Stream stream(c10::StreamId id) {
    return c10::Stream(c10::Stream::UNSAFE, stand_in, id);
  }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

// ---- Kernels ---------------------------------------------------------------------------------

at::Tensor empty_memory_format(at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                               std::optional<at::Layout>, std::optional<at::Device>,
                               std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, c10::GetAllocator(at::kPrivateUse1),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                         std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, c10::GetAllocator(at::kPrivateUse1),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           dtype.value_or(at::kFloat));
}

bool is_there(const at::Tensor& tensor) {
  return tensor.defined() && tensor.is_privateuseone();
}

// The device's tensor as the CPU sees it, in the same memory.
at::Tensor as_cpu(const at::Tensor& tensor) {
  if (!is_there(tensor)) return tensor;
  // One that is to be resized to what comes out: the memory of others is not the CPU's to resize.
  if (tensor.numel() == 0) return at::empty(tensor.sizes(), tensor.scalar_type());
  return at::from_blob(
      tensor.data_ptr(), tensor.sizes(), tensor.strides(), [tensor](void*) {},
      at::TensorOptions(tensor.scalar_type()));
}

// Applies `change` to each tensor of an argument.
c10::IValue with_tensors(const c10::IValue& value,
                         const std::function<at::Tensor(const at::Tensor&)>& change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> changed;
    for (const at::Tensor& tensor : value.toTensorVector()) changed.push_back(change(tensor));
    return changed;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> changed;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
      changed.push_back(tensor ? std::optional(change(*tensor)) : std::nullopt);
    }
    return changed;
  }
  return value;
}

using Stack = torch::jit::Stack;

Stack run_on_cpu(const c10::OperatorHandle& operation, const Stack& arguments,
                 const std::function<at::Tensor(const at::Tensor&)>& seen) {
  const c10::impl::ExcludeDispatchKeyGuard no_graph(c10::autograd_dispatch_keyset);
  Stack stack;
  for (const c10::IValue& argument : arguments) {
    const c10::IValue mine = with_tensors(argument, seen);
    stack.push_back(mine.isDevice() ? c10::IValue(at::Device(at::kCPU)) : mine);
  }
  operation.callBoxed(&stack);
  return stack;
}

// A result in the device's memory, or only room for it while a graph is captured.
at::Tensor placed(const at::Tensor& result) {
  const at::Tensor place =
      empty_strided(result.sizes(), result.strides(), result.scalar_type(), {}, {}, {});
  if (recording) {
    as_cpu(place).fill_(result.is_floating_point() ? NAN : 0);
  } else {
    as_cpu(place).copy_(result);
  }
  return place;
}

// Any operator that is no view: the CPU's, on the same memory. While a graph is captured nothing
// changes but what is to be done at each replay.
void kernel(const c10::OperatorHandle& operation, Stack* stack) {
  const auto& schema = operation.schema();
  const auto first = stack->end() - static_cast<int64_t>(schema.arguments().size());
  const Stack arguments(first, stack->end());
  stack->erase(first, stack->end());
  ++counts.kernels;
  // A capture sees no values; what may be an index has to be one all the same.
  const auto copied = [](const at::Tensor& tensor) {
    if (!is_there(tensor)) return tensor;
    return tensor.is_floating_point() ? as_cpu(tensor).clone() : at::zeros_like(as_cpu(tensor));
  };
  using Seen = std::function<at::Tensor(const at::Tensor&)>;
  const Stack results = run_on_cpu(operation, arguments, recording ? Seen(copied) : Seen(as_cpu));

  std::vector<std::pair<size_t, at::Tensor>> fresh;  // results in memory of their own
  for (size_t i = 0; i < results.size(); ++i) {
    const auto* alias = schema.returns()[i].alias_info();
    if (alias && alias->isWrite()) {  // one of the arguments
      for (size_t j = 0; j < arguments.size(); ++j) {
        const auto* of = schema.arguments()[j].alias_info();
        if (!of || of->beforeSets() != alias->beforeSets()) continue;
        const at::Tensor &argument = arguments[j].toTensor(), &result = results[i].toTensor();
        if (argument.numel() == 0 && result.numel() > 0) {
          const at::Tensor place = placed(result);
          at::TensorImpl* const resized = argument.unsafeGetTensorImpl();
          resized->set_storage_keep_dtype(place.storage());
          resized->set_sizes_and_strides(result.sizes(), result.strides());
        }
        stack->push_back(argument);
      }
    } else if (results[i].isTensor() && results[i].toTensor().defined()) {
      fresh.emplace_back(i, placed(results[i].toTensor()));
      stack->push_back(fresh.back().second);
    } else {
      stack->push_back(results[i]);
    }
  }
  if (recording) {
    recording->push_back([operation, arguments, fresh] {
      const Stack again = run_on_cpu(operation, arguments, as_cpu);
      for (const auto& [i, place] : fresh) as_cpu(place).copy_(again[i].toTensor());
    });
  }
}

at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  const auto pinned = [](const at::Tensor& tensor) {
    return PinnedMemory::holds(tensor.storage().data());
  };
  if (is_there(to) && !is_there(from)) {
    ++counts.copies;
    if (!non_blocking || !pinned(from)) {
      refuse_in_capture("memory copied that is not pinned");
      ++counts.waits;
    }
  } else if (!is_there(to)) {
    refuse_in_capture("memory copied to the host");
    if (!non_blocking || !pinned(to)) ++counts.waits;
  } else {
    ++counts.kernels;
  }
  const auto work = [to = as_cpu(to), from = as_cpu(from)] { at::Tensor(to).copy_(from); };
  if (recording) {
    recording->push_back(work);
  } else {
    work();
  }
  return to;
}

at::Scalar read(const at::Tensor& tensor) {
  refuse_in_capture("a value read");
  ++counts.waits;
  return at::_local_scalar_dense(as_cpu(tensor));
}

// Convolutions cannot be run on the CPU under their own name.
void convolution(const c10::OperatorHandle&, Stack* stack) {
  const static auto operation =
      c10::Dispatcher::singleton().findSchemaOrThrow("aten::convolution", "");
  kernel(operation, stack);
}
void convolution_backward(const c10::OperatorHandle&, Stack* stack) {
  const static auto operation =
      c10::Dispatcher::singleton().findSchemaOrThrow("aten::convolution_backward", "");
  const auto arguments = stack->end() - 10;
  // That of the bias asks for the bias's sizes, here the weight's first one.
  const auto weight = (arguments + 2)->toTensor();
  stack->insert(arguments + 3, c10::IValue(std::vector<int64_t>{weight.size(0)}));
  kernel(operation, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&kernel>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty_memory_format);
  library.impl("empty_strided", &empty_strided);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("copy_", &copy);
  library.impl("_local_scalar_dense", &read);
  library.impl("_has_compatible_shallow_copy_type",
               [](const at::Tensor&, const at::Tensor&) { return true; });
  library.impl("convolution_overrideable",
               torch::CppFunction::makeFromBoxedFunction<&convolution>());
  library.impl("convolution_backward_overrideable",
               torch::CppFunction::makeFromBoxedFunction<&convolution_backward>());
}

}  // namespace
