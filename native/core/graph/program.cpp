#include "core/graph/program.h"

#include <ATen/core/function_schema.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "core/graph/simplify.h"
#include "core/graph/translate.h"

namespace distill {
namespace {

bool are_ones(const Operand& operand) {
  if (!operand.literal.isIntList()) return false;
  const auto values = operand.literal.toIntVector();
  return std::all_of(values.begin(), values.end(), [](int64_t value) { return value == 1; });
}

}  // namespace

std::vector<ValueId> values_of(const Operand& operand) {
  std::vector<ValueId> values;
  if (operand.is_value()) values.push_back(operand.value);
  for (const Operand& item : operand.items) {
    if (item.is_value()) values.push_back(item.value);
  }
  return values;
}

std::optional<size_t> Call::position(std::string_view argument) const {
  const auto i = handle->schema().argumentIndexWithName(argument);
  return i ? std::optional<size_t>(*i) : std::nullopt;
}

bool Call::is_in_place() const {
  return handle && handle->schema().is_mutable() && kind == OperatorKind::plain;
}

c10::OperatorHandle aten_operator(std::string_view name, std::string_view overload) {
  const auto found = c10::Dispatcher::singleton().findSchema(
      {"aten::" + std::string(name), std::string(overload)});
  if (!found) {
    throw std::invalid_argument("it calls an operator that this LibTorch does not have");
  }
  return *found;
}

Program make_program(const ExportedGraph& graph) {
  Program program = translate(graph);
  simplify(program);
  return program;
}

bool has_winograd_steps(const Call& call) {
  const bool is_plain = call.name == "conv2d" ||
                        (call.name == "convolution" && call.handle && call.position("transposed") &&
                         call.argument("transposed").literal.isBool() &&
                         !call.argument("transposed").literal.toBool());
  return is_plain && are_ones(call.argument("stride")) && are_ones(call.argument("padding")) &&
         are_ones(call.argument("dilation")) && call.argument("groups").literal.isInt() &&
         call.argument("groups").literal.toInt() == 1;
}

Program up_to(const Program& program, ValueId value) {
  Program part = program;
  part.output = value;
  drop_unused(part);
  return part;
}

std::vector<std::vector<size_t>> consumers(const Program& program) {
  std::vector<std::vector<size_t>> readers(program.values.size());
  for (size_t i = 0; i < program.calls.size(); ++i) {
    for (const Operand& operand : program.calls[i].arguments) {
      for (const ValueId id : values_of(operand)) {
        if (readers[id].empty() || readers[id].back() != i) readers[id].push_back(i);
      }
    }
  }
  return readers;
}

std::vector<size_t> producers(const Program& program) {
  std::vector<size_t> producer(program.values.size(), program.calls.size());
  for (size_t i = 0; i < program.calls.size(); ++i) {
    for (const ValueId id : program.calls[i].results) {
      if (id != no_value) producer[id] = i;
    }
  }
  return producer;
}

std::optional<Head> find_head(const Program& program) {
  const std::vector<size_t> producer = producers(program);
  const auto tensor_of = [&](const Operand& operand) -> std::string {
    for (const Binding& binding : program.bindings) {
      if (binding.value == operand.value && binding.kind == GraphInput::Kind::parameter) {
        return binding.tensor;
      }
    }
    return {};
  };
  // Calls behind the last layer that keep its channels apart, and in their order.
  static constexpr std::string_view keeping[] = {
      "flatten", "reshape", "squeeze", "contiguous",          "clone",     "detach", "dropout",
      "mean",    "relu",    "relu_",   "adaptive_avg_pool2d", "avg_pool2d"};
  ValueId value = program.output;
  bool is_last = true;
  while (producer[value] < program.calls.size()) {
    const size_t i = producer[value];
    const Call& call = program.calls[i];
    if (call.arguments.empty() || !call.arguments.front().is_value()) break;
    const bool is_linear = call.name == "linear";
    if (is_linear || call.name == "conv2d" || call.name == "convolution") {
      const std::string weight = tensor_of(call.argument("weight"));
      const Operand& bias = call.argument("bias");
      if (weight.empty() || (bias.is_value() && tensor_of(bias).empty())) return std::nullopt;
      return Head{i, weight, tensor_of(bias), is_linear && is_last};
    }
    if (std::find(std::begin(keeping), std::end(keeping), call.name) == std::end(keeping)) break;
    is_last = false;
    value = call.arguments.front().value;
  }
  return std::nullopt;
}

}  // namespace distill
