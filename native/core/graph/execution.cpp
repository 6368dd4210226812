#include "core/graph/execution.h"

#include <ATen/core/List.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <unordered_set>
#include <utility>

#include "core/checkpoint/text.h"
#include "core/device/memory.h"
#include "core/error.h"
#include "core/graph/convolution_3x3.h"
#include "core/graph/limits.h"

namespace distill {
namespace {

using Values = std::vector<c10::IValue>;

c10::IValue resolve(const Operand& operand, const Values& values, at::Device device) {
  if (operand.is_value()) return values[operand.value];
  if (operand.is_device) return device;
  if (operand.items.empty()) return operand.literal;
  c10::impl::GenericList list(operand.item_type);
  for (const Operand& item : operand.items) list.push_back(resolve(item, values, device));
  return list;
}

at::Tensor tensor_or_none(const c10::IValue& value) {
  return value.isNone() ? at::Tensor() : value.toTensor();
}

// oneDNN's gradients of depthwise convolutions are slower in bfloat16 than in float32.
void in_float32(const Call& call, Values& stack) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
  const at::ScalarType dtype = stack[0].toTensor().scalar_type();
  stack[0] = stack[0].toTensor().to(at::kFloat);
  call.handle->callBoxed(&stack);
  stack[0] = stack[0].toTensor().to(dtype);
}

// In-place calls on weights are refused when the program is made. Some operators return their
// argument itself for some shapes alone, which shows only here.
void refuse_change(const at::Tensor& tensor, const std::unordered_set<const void*>& fixed) {
  if (tensor.has_storage() && fixed.contains(tensor.storage().unsafeGetStorageImpl())) {
    throw std::invalid_argument("it changes a weight, or the pictures, through a view");
  }
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

[[noreturn]] void refuse(const Program& program, const Call& call, const std::string& reason) {
  throw Error("ERR_GRAPH", "'" + program.file + "' cannot be run: at the node '" +
                               printable(call.node) + "' (" + call.name + ") " + reason +
                               "; check imageSize, and export the model again with torch.export");
}

}  // namespace

Executor::Executor(Program program)
    : program_(std::move(program)),
      dead_after_(program_.calls.size()),
      changes_(std::any_of(program_.calls.begin(), program_.calls.end(),
                           [](const Call& call) { return call.changed.has_value(); })) {
  const auto readers = consumers(program_);
  const auto producer = producers(program_);
  for (ValueId id = 0; id < static_cast<ValueId>(program_.values.size()); ++id) {
    if (id == program_.output) continue;
    const size_t last = readers[id].empty() ? producer[id] : readers[id].back();
    if (last < program_.calls.size()) dead_after_[last].push_back(id);
  }
}

struct Executor::Run {
  bool is_training = false;
  at::Tensor dropout;  // undefined: nothing is dropped
  Observer observe;
  at::Device device = at::kCPU;
  Values values;
  std::unordered_set<const void*> fixed;  // storages that no call may change
  WorkLimit work{/*pictures=*/1};
};

at::Tensor Executor::evaluate(const Tensors& tensors, const at::Tensor& images,
                              const Observer& observe) const {
  Run evaluation;
  evaluation.observe = observe;
  return run(tensors, images, evaluation);
}

at::Tensor Executor::train(const Tensors& tensors, const at::Tensor& images,
                           const at::Tensor& dropout) const {
  Run training;
  training.is_training = true;
  training.dropout = dropout;
  return run(tensors, images, training);
}

void Executor::set_drop_rate(double rate) {
  for (Call& call : program_.calls) {
    const bool drops =
        call.kind == OperatorKind::dropout || call.kind == OperatorKind::feature_dropout;
    if (drops) call.argument("p").literal = rate;
  }
}

at::Tensor Executor::measure(const Tensors& tensors, const at::Tensor& images) {
  dropouts_.clear();
  const std::vector<size_t> producer = producers(program_);
  const int64_t pictures = images.size(0);
  return evaluate(tensors, images, [&](ValueId id, const c10::IValue& value) {
    if (!value.isTensor()) return;
    auto& sizes = program_.sizes[id];
    sizes.assign(value.toTensor().sizes().begin(), value.toTensor().sizes().end());
    if (!sizes.empty() && sizes.front() == pictures) sizes.front().reset();
    const Call& call = program_.calls[producer[id]];
    const bool drops_channels = call.kind == OperatorKind::feature_dropout;
    if (call.kind != OperatorKind::dropout && !drops_channels) return;
    const at::Tensor& x = value.toTensor();
    const int64_t elements = drops_channels ? x.size(0) * x.size(1) : x.numel();
    dropouts_.push_back({producer[id], call.argument("p").literal.toDouble(), elements / pictures});
  });
}

at::Tensor Executor::run(const Tensors& tensors, const at::Tensor& images, Run& run) const {
  run.device = images.device();
  run.values.resize(program_.values.size());
  for (size_t i = 0; i < tensors.size(); ++i) run.values[program_.bindings[i].value] = tensors[i];
  run.values[program_.images] = program_.changes_images ? images.clone() : images;
  run.work = WorkLimit(images.size(0));
  if (changes_) {
    const auto fix = [&](const at::Tensor& tensor) {
      if (tensor.has_storage()) run.fixed.insert(tensor.storage().unsafeGetStorageImpl());
    };
    fix(images);
    for (const at::Tensor& tensor : tensors) fix(tensor);
  }
  for (size_t i = 0; i < program_.calls.size(); ++i) {
    run_call(i, run);
    for (const ValueId id : dead_after_[i]) run.values[id] = {};
  }
  return run.values[program_.output].toTensor();
}

void Executor::run_call(size_t index, Run& run) const {
  const Call& call = program_.calls[index];
  try {
    Values stack;
    stack.reserve(call.arguments.size());
    for (const Operand& operand : call.arguments) {
      stack.push_back(resolve(operand, run.values, run.device));
    }
    if (call.kind != OperatorKind::fused && call.kind != OperatorKind::fused_3x3) {
      check_arguments(call, stack);
      run.work.add_call(call, stack);
    }
    if (call.changed) refuse_change(stack[*call.changed].toTensor(), run.fixed);
    switch (call.kind) {
      case OperatorKind::scalar:
        stack = {call.function(stack)};
        break;
      case OperatorKind::dropout:
      case OperatorKind::feature_dropout:
        stack = {run.dropout.defined() ? drop(stack[0].toTensor(), index, run)
                                       : stack[0].toTensor()};
        break;
      case OperatorKind::batch_norm:
        // Without running statistics, a batch's own are all that there are.
        stack[5] = run.is_training || stack[3].isNone();
        call.handle->callBoxed(&stack);
        break;
      case OperatorKind::convolution_3x3:
        if (const auto y =
                convolve_3x3(stack[0].toTensor(), stack[1].toTensor(), tensor_or_none(stack[2]))) {
          stack = {*y};
        } else {
          call.handle->callBoxed(&stack);
        }
        break;
      case OperatorKind::depthwise:
        if (run.is_training && run.device.is_cpu() &&
            stack[0].toTensor().scalar_type() == at::kBFloat16) {
          in_float32(call, stack);
        } else {
          call.handle->callBoxed(&stack);
        }
        break;
      case OperatorKind::fused_3x3:
        stack = {convolve_3x3(stack[0].toTensor().to(call.dtype), stack[1].toTensor(),
                              tensor_or_none(stack[2]), tensor_or_none(stack[3]), call.relu)};
        break;
      case OperatorKind::fused:
        for (size_t i = 0; i < call.inputs; ++i) stack[i] = stack[i].toTensor().to(call.dtype);
        check_fused(call, stack);
        call.handle->callBoxed(&stack);
        break;
      default:
        call.handle->callBoxed(&stack);
    }
    if (call.returns_list) {
      const c10::IValue list = stack.at(0);
      stack.assign(list.toListRef().begin(), list.toListRef().end());
    }
    for (size_t i = 0; i < call.results.size(); ++i) {
      const ValueId id = call.results[i];
      if (id == no_value) continue;
      run.work.add_result(stack.at(i));
      run.values[id] = stack.at(i);
      if (run.observe) run.observe(id, run.values[id]);
    }
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const OverLimit&) {
    refuse(program_, call, "it takes more memory than any classifier of pictures does");
  } catch (const c10::Error& error) {
    refuse(program_, call, first_line(error.what_without_backtrace()));
  } catch (const std::logic_error& error) {  // of sizes, or results that are not there
    refuse(program_, call, error.what());
  } catch (const std::runtime_error& error) {  // oneDNN's
    refuse(program_, call, error.what());
  }
}

at::Tensor Executor::drop(const at::Tensor& x, size_t index, const Run& run) const {
  int64_t before = 0;
  for (const Dropout& dropout : dropouts_) {
    if (dropout.call == index) {
      at::Tensor factors = run.dropout.narrow(1, before, dropout.factors);
      if (program_.calls[index].kind == OperatorKind::feature_dropout) {
        std::vector<int64_t> shape(x.dim(), 1);
        shape[0] = x.size(0);
        shape[1] = x.size(1);
        factors = factors.reshape(shape);
      } else {
        factors = factors.reshape(x.sizes());
      }
      return x * factors.to(x.scalar_type());
    }
    before += dropout.factors;
  }
  return x;
}

}  // namespace distill
