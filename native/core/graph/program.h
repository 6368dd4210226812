#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/exported_graph.h"
#include "core/graph/operators.h"

namespace distill {

// A value of a program, by its place among all of them.
using ValueId = int32_t;
inline constexpr ValueId no_value = -1;

// An argument of a call: a value that is computed, a literal, or a list with at least one value.
struct Operand {
  ValueId value = no_value;
  c10::IValue literal;
  std::vector<Operand> items;
  c10::TypePtr item_type;  // of a list's items
  bool is_device = false;  // the device that the program runs on

  bool is_value() const { return value != no_value; }
};

// The values that an operand reads.
std::vector<ValueId> values_of(const Operand& operand);

using ScalarFunction = c10::IValue(const std::vector<c10::IValue>&);

// The smallest and the largest number that one argument may be, or hold.
struct ArgumentBound {
  size_t index;
  std::string_view argument;
  double least, most;
};

// The kinds of calls that work more than their results have elements.
enum class Work {
  elements,
  convolution,
  window,
  linear,
  product,
  sum_of_product,  // behind a first argument that is added
  attention,
  einsum,
};
Work work_of(std::string_view name);

// A call of an operator, with all arguments of its schema in their order.
struct Call {
  std::string node;  // its name in the file, for messages
  std::string name;  // of the operator, such as "conv2d"
  OperatorKind kind = OperatorKind::plain;
  std::optional<c10::OperatorHandle> handle;  // of tensors' operators
  ScalarFunction* function = nullptr;         // of sizes' ones
  std::vector<Operand> arguments;
  std::vector<ValueId> results;       // no_value: not used
  bool returns_list = false;          // the results are the items of one list
  std::optional<size_t> changed;      // the argument that it works in place on
  std::vector<ArgumentBound> bounds;  // of arguments that are numbers
  Work work = Work::elements;
  at::ScalarType dtype = at::kFloat;  // of a fused call
  size_t inputs = 1;                  // of a fused call: its first arguments, which take its type
  bool relu = false;                  // of a fused_3x3 call

  // The place of an argument in the schema's list; none where it has no such argument.
  std::optional<size_t> position(std::string_view argument) const;
  // For arguments known to be there: throws std::bad_optional_access otherwise.
  const Operand& argument(std::string_view name) const { return arguments[position(name).value()]; }
  Operand& argument(std::string_view name) { return arguments[position(name).value()]; }
  // True where it changes one of its arguments.
  bool is_in_place() const;
};

// A tensor that the program reads: a weight of the network, or a constant.
struct Binding {
  ValueId value;
  std::string tensor;  // its name in the file
  GraphInput::Kind kind;
};

// A flat list of calls that turns a batch of pictures into logits.
struct Program {
  std::string file;  // for messages
  std::vector<Call> calls;
  std::vector<Binding> bindings;
  ValueId images = no_value;
  ValueId output = no_value;
  std::vector<std::string> values;  // their names in the file
  // By value: the sizes of a tensor, as far as they are known; none for the batch's. Those that the
  // file tells may be wrong; Executor::measure() puts the right ones in their place.
  std::vector<std::vector<std::optional<int64_t>>> sizes;
  // True where a call works in place on the pictures, which then are copied first.
  bool changes_images = false;
  std::optional<int64_t> image_size;  // side of its pictures, where the graph holds for one alone
  int64_t classes = 0;
};

// Binds the calls of a graph to the dispatcher's operators: names to values, arguments to schemas.
// BatchNorm and dropout, which exporters write in several ways, are brought into one; a linear
// layer that is spread over two calls becomes one; calls without use are left out. Literals of
// floating-point types become float32, as weights do.
//
// Throws ERR_GRAPH, with the file, the node and the remedy, where an operator is not allowed, a
// value is not defined or defined twice, an argument does not fit its schema, a weight would be
// changed, or the graph is no classifier of pictures: one float tensor (B, 3, H, W) with any B in,
// one of (B, classes) out.
Program make_program(const ExportedGraph& graph);

// True for a two-dimensional convolution with stride, padding and dilation 1 and one group, by its
// literals: one that Winograd's way (winograd.h) computes where its weight is 3x3.
bool has_winograd_steps(const Call& call);

// The calls that a value needs, with it as the output.
Program up_to(const Program& program, ValueId value);

// The operator of ATen of this name.
c10::OperatorHandle aten_operator(std::string_view name, std::string_view overload = "");

// The calls that read a value, by value, in their order. The program's output has none.
std::vector<std::vector<size_t>> consumers(const Program& program);

// The call that a value comes from, by value; the number of calls where none does.
std::vector<size_t> producers(const Program& program);

// The last layer: a linear one, or a convolution of 1x1, whose results become logits without mixing
// classes.
struct Head {
  size_t call;
  std::string weight, bias;  // names of the tensors; bias may be empty
  bool is_linear;            // and its results are the logits
};
std::optional<Head> find_head(const Program& program);

}  // namespace distill
