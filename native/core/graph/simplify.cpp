#include "core/graph/simplify.h"

#include <ATen/core/function_schema.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace distill {
namespace {

// linear(x, weight, bias), where the file has the weight transposed by a call of its own and then
// multiplied.
void join_linear_layers(Program& program) {
  const std::vector<size_t> producer = producers(program);
  const auto transposed = [&](const Operand& operand) -> std::optional<Operand> {
    if (!operand.is_value() || producer[operand.value] == program.calls.size()) return std::nullopt;
    const Call& call = program.calls[producer[operand.value]];
    if (call.name == "t") return call.argument("self");
    if (call.name != "permute" || !call.argument("dims").literal.isIntList()) return std::nullopt;
    const auto dims = call.argument("dims").literal.toIntVector();
    const bool swaps = dims.size() == 2 && (dims[0] + 2) % 2 == 1 && (dims[1] + 2) % 2 == 0;
    return swaps ? std::optional(call.argument("self")) : std::nullopt;
  };
  const auto is_one = [](const Operand& operand) {
    return operand.literal.isScalar() && operand.literal.toScalar().toDouble() == 1;
  };
  for (Call& call : program.calls) {
    const bool is_sum = call.name == "addmm";
    if (!is_sum && call.name != "mm") continue;
    if (is_sum && !(is_one(call.argument("beta")) && is_one(call.argument("alpha")))) continue;
    const auto weight = transposed(call.argument("mat2"));
    if (!weight) continue;
    call.arguments = {is_sum ? call.argument("mat1") : call.argument("self"), *weight,
                      is_sum ? call.argument("self") : Operand()};
    call.name = "linear";
    call.handle = aten_operator("linear");
  }
}

// Activations whose gradient needs their input keep a copy of it when they work in place: a result
// of its own takes less. Where nothing else reads the input, nothing else notices.
void make_activations_functional(Program& program) {
  static constexpr std::string_view activations[] = {
      "hardswish_", "hardtanh_", "relu6_", "silu_", "gelu_", "hardsigmoid_", "mish_"};
  const auto readers = consumers(program);
  const auto producer = producers(program);
  for (Call& call : program.calls) {
    const auto* known = std::find(std::begin(activations), std::end(activations), call.name);
    if (known == std::end(activations)) continue;
    const ValueId x = call.arguments.front().value;
    if (readers[x].size() != 1 || producer[x] == program.calls.size()) continue;
    const auto& returned = program.calls[producer[x]].handle->schema().returns();
    const bool is_view = std::any_of(returned.begin(), returned.end(), [](const auto& result) {
      return result.alias_info() != nullptr;
    });
    if (is_view) continue;
    call.name.pop_back();
    call.handle = aten_operator(call.name);
  }
}

void mark_convolutions(Program& program) {
  for (Call& call : program.calls) {
    if (call.kind == OperatorKind::plain && has_winograd_steps(call)) {
      call.kind = OperatorKind::convolution_3x3;
    } else if (call.name == "conv2d" && call.argument("groups").literal.isInt() &&
               call.argument("groups").literal.toInt() > 1) {
      const auto& sizes = program.sizes[call.argument("weight").value];
      if (sizes.size() == 4 && sizes[1] == 1) call.kind = OperatorKind::depthwise;
    }
  }
}

}  // namespace

void drop_unused(Program& program) {
  std::vector<bool> is_read(program.values.size(), false);
  is_read[program.output] = true;
  std::vector<Call> kept;
  for (auto call = program.calls.rbegin(); call != program.calls.rend(); ++call) {
    const bool is_used = std::any_of(call->results.begin(), call->results.end(),
                                     [&](ValueId id) { return id != no_value && is_read[id]; });
    if (!is_used && !call->is_in_place()) continue;
    for (const Operand& operand : call->arguments) {
      for (const ValueId id : values_of(operand)) is_read[id] = true;
    }
    kept.push_back(std::move(*call));
  }
  std::reverse(kept.begin(), kept.end());
  program.calls = std::move(kept);
}

void simplify(Program& program) {
  join_linear_layers(program);
  drop_unused(program);
  make_activations_functional(program);
  mark_convolutions(program);
}

}  // namespace distill
