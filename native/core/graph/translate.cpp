#include "core/graph/translate.h"

#include <ATen/core/function_schema.h>

#include <algorithm>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "core/checkpoint/text.h"
#include "core/error.h"
#include "core/graph/bind.h"
#include "core/graph/limits.h"
#include "core/graph/scalars.h"

namespace distill {
namespace {

constexpr int64_t most_side = 8192;  // of pictures, in pixels

constexpr const char* export_line =
    "export it with torch.export.export(model.eval(), (torch.randn(2, 3, 224, 224),), "
    "dynamic_shapes=({0: torch.export.Dim('batch')},))";

// Translates a graph node by node. Values must be there before they are read, so that nothing can
// be read that is never computed.
class Translator {
 public:
  explicit Translator(const ExportedGraph& graph) : graph_(graph) { program_.file = graph.file; }

  Program translate() {
    for (const GraphInput& input : graph_.inputs) add_input(input);
    if (program_.images == no_value) refuse("its model takes no pictures", export_line);
    for (const GraphNode& node : graph_.nodes) add(node);
    program_.output = output();
    return std::move(program_);
  }

 private:
  struct Value {
    ValueId id;
    bool is_tensor;
  };

  [[noreturn]] void refuse(const std::string& what, const std::string& remedy) const {
    throw Error("ERR_GRAPH", "'" + graph_.file + "' cannot be used: " + what + "; " + remedy);
  }

  [[noreturn]] void refuse(
      const GraphNode& node, const std::string& what,
      const std::string& remedy = "export the model again with torch.export") const {
    refuse("at the node '" + printable(node.name) + "' (" + printable(node.target) + ") " + what,
           remedy);
  }

  ValueId define(const std::string& name, bool is_tensor) {
    const auto id = static_cast<ValueId>(program_.values.size());
    if (!values_.emplace(name, Value{id, is_tensor}).second) {
      refuse("it defines '" + printable(name) + "' twice", "take the file from its source again");
    }
    program_.values.push_back(name);
    const GraphTensorType* type = graph_.type(name);
    program_.sizes.push_back(type ? type->sizes : std::vector<std::optional<int64_t>>());
    roots_.push_back(id);
    return id;
  }

  void add_input(const GraphInput& input) {
    if (input.kind != GraphInput::Kind::user) {
      program_.bindings.push_back(
          {define(input.value, /*is_tensor=*/true), input.tensor, input.kind});
      return;
    }
    if (input.value.empty()) return;  // an optional input that is not given
    if (program_.images != no_value) {
      refuse("its model takes more than one tensor", "export a model that takes pictures alone");
    }
    check_images(input.value);
    program_.images = define(input.value, /*is_tensor=*/true);
  }

  void check_images(const std::string& name) {
    const GraphTensorType* type = graph_.type(name);
    if (!type || type->sizes.size() != 4 || type->sizes[1].value_or(3) != 3 ||
        !at::isFloatingType(type->dtype)) {
      refuse("its input is no batch of pictures (B, 3, H, W) of a floating-point type",
             export_line);
    }
    for (size_t d = 2; d < 4; ++d) {
      if (const auto side = type->sizes[d]; side && (*side < 1 || *side > most_side)) {
        refuse("its pictures have a side of " + std::to_string(*side) + " pixels", export_line);
      }
    }
    if (type->sizes[0]) {
      refuse("it holds for batches of " + std::to_string(*type->sizes[0]) + " alone", export_line);
    }
    const auto height = type->sizes[2], width = type->sizes[3];
    if (height && width && *height != *width) {
      refuse("its pictures are of " + std::to_string(*height) + " x " + std::to_string(*width) +
                 " pixels",
             "export it for square ones");
    }
    program_.image_size = height ? height : width;
  }

  // The one result that is (B, classes).
  ValueId output() {
    std::vector<std::string> names;
    for (const std::string& name : graph_.outputs) {
      const GraphTensorType* type = graph_.type(name);
      const auto value = values_.find(name);
      if (!type || value == values_.end() || !value->second.is_tensor) continue;
      if (type->sizes.size() == 2 && !type->sizes[0] && type->sizes[1]) names.push_back(name);
    }
    if (names.size() != 1) {
      refuse("it is no classifier: of its " + std::to_string(graph_.outputs.size()) + " results, " +
                 std::to_string(names.size()) + " are of the shape (B, classes)",
             "export a model that returns the logits alone");
    }
    program_.classes = *graph_.type(names.front())->sizes[1];
    return values_.at(names.front()).id;
  }

  ValueId find_value(const std::string& name, bool is_tensor) const {
    const auto found = values_.find(name);
    if (found == values_.end()) {
      throw std::invalid_argument("it reads '" + printable(name) +
                                  "', which is not computed before");
    }
    if (found->second.is_tensor != is_tensor) {
      throw std::invalid_argument("it takes '" + printable(name) + "' for another kind of value");
    }
    return found->second.id;
  }

  void add(const GraphNode& node) try {
    const Operator* known = find_operator(node.target);
    if (!known) {
      refuse(node, "it calls an operator that is not supported",
             "give a model that is made of convolutions, linear layers, norms, activations, "
             "pooling, attention, arithmetic and shapes");
    }
    switch (known->kind) {
      case OperatorKind::assertion:
        return;
      case OperatorKind::scalar:
        return add_scalar(node, *known);
      case OperatorKind::batch_norm:
        return add_batch_norm(node, *known);
      case OperatorKind::dropout:
      case OperatorKind::feature_dropout:
        return add_dropout(node, *known);
      case OperatorKind::plain:
        return add_plain(node, *known);
    }
  } catch (const std::invalid_argument& error) {
    refuse(node, error.what());
  }

  Call begin(const GraphNode& node, const Operator& known, std::string_view name) const {
    Call call;
    call.node = node.name;
    call.name = name;
    call.kind = known.kind;
    call.work = work_of(name);
    return call;
  }

  std::vector<Operand> bind(const GraphNode& node, const c10::FunctionSchema& schema) const {
    return bind_arguments(node.arguments, schema, [this](const std::string& name, bool is_tensor) {
      return find_value(name, is_tensor);
    });
  }

  void add_scalar(const GraphNode& node, const Operator& known) {
    Call call = begin(node, known, known.name);
    call.function = find_scalar_function(known.name);
    for (const auto& [name, argument] : node.arguments) {
      Operand& operand = call.arguments.emplace_back();
      switch (argument.kind) {
        case GraphArgument::Kind::value:
          operand.value = find_value(argument.text, values_.contains(argument.text) &&
                                                        values_.at(argument.text).is_tensor);
          break;
        case GraphArgument::Kind::integer:
          operand.literal = argument.integer;
          break;
        case GraphArgument::Kind::boolean:
          operand.literal = argument.integer != 0;
          break;
        case GraphArgument::Kind::number:
          operand.literal = argument.number;
          break;
        default:
          throw std::invalid_argument("it computes with something else than numbers");
      }
    }
    if (node.results.size() != 1) throw std::invalid_argument("it has more than one result");
    call.results.push_back(define(node.results.front().text, /*is_tensor=*/false));
    program_.calls.push_back(std::move(call));
  }

  // All kinds of BatchNorm become batch_norm, whose one result is the first of theirs.
  void add_batch_norm(const GraphNode& node, const Operator& known) {
    const c10::OperatorHandle given = aten_operator(known.name, known.overload);
    const std::vector<Operand> operands = bind(node, given.schema());
    const auto find = [&](const char* name) -> std::optional<Operand> {
      const auto i = given.schema().argumentIndexWithName(name);
      return i ? std::optional(operands[*i]) : std::nullopt;
    };
    const auto literal = [](c10::IValue value) {
      Operand operand;
      operand.literal = std::move(value);
      return operand;
    };
    Call call = begin(node, known, "batch_norm");
    call.handle = aten_operator("batch_norm");
    if (!find("input").value().is_value()) throw std::invalid_argument("it takes no tensor");
    const Operand momentum =
        find("momentum").value_or(find("exponential_average_factor").value_or(literal(0.1)));
    const Operand eps = find("eps").value_or(find("epsilon").value_or(literal(1e-5)));
    call.arguments = {find("input").value(),
                      find("weight").value(),
                      find("bias").value_or(Operand()),
                      find("running_mean").value_or(Operand()),
                      find("running_var").value_or(Operand()),
                      literal(false),  // the mode of a run decides
                      momentum,
                      eps,
                      literal(true)};
    call.results.push_back(define(first_result(node), /*is_tensor=*/true));
    program_.calls.push_back(std::move(call));
  }

  // Dropout that drops nothing is no call.
  void add_dropout(const GraphNode& node, const Operator& known) {
    const c10::OperatorHandle given = aten_operator(known.name, known.overload);
    const std::vector<Operand> operands = bind(node, given.schema());
    const Operand& rate = operands.at(1);
    if (!operands.at(0).is_value()) throw std::invalid_argument("it takes no tensor");
    if (!rate.literal.isDouble()) throw std::invalid_argument("its rate is no number");
    const double p = rate.literal.toDouble();
    if (!(p >= 0 && p <= 1)) throw std::invalid_argument("its rate is not between 0 and 1");
    if (p == 0) {
      define_alias(first_result(node), operands.at(0).value);
      return;
    }
    Call call = begin(node, known, "dropout");
    call.handle = aten_operator("dropout");
    Operand training;
    training.literal = false;
    call.arguments = {operands.at(0), rate, training};
    call.results.push_back(define(first_result(node), /*is_tensor=*/true));
    roots_.back() = roots_[operands.at(0).value];  // the same tensor, where nothing is dropped
    program_.calls.push_back(std::move(call));
  }

  // A further name of a value.
  void define_alias(const std::string& name, ValueId id) {
    if (!values_.emplace(name, Value{id, true}).second) {
      refuse("it defines '" + printable(name) + "' twice", "take the file from its source again");
    }
  }

  std::string first_result(const GraphNode& node) const {
    if (node.results.empty() || node.results.front().kind != GraphArgument::Kind::value) {
      throw std::invalid_argument("it has no result");
    }
    return node.results.front().text;
  }

  void add_plain(const GraphNode& node, const Operator& known) {
    // Views that hold for a contiguous tensor need not hold for a channels-last one.
    const bool is_view =
        known.name == "view" || known.name == "_unsafe_view" || known.name == "view_copy";
    Call call = begin(node, known, is_view ? "reshape" : known.name);
    const c10::OperatorHandle given = aten_operator(known.name, known.overload);
    call.handle = is_view ? aten_operator("reshape") : given;
    call.arguments = bind(node, given.schema());
    call.bounds = bounds_of(known.name, given.schema());
    if (refuse_or_skip_changes(node, call)) return;
    add_results(node, call);
    program_.calls.push_back(std::move(call));
  }

  // Refuses a call that works in place on a weight. Returns true for a counter of batches that is
  // counted up, which is not the graph's business.
  bool refuse_or_skip_changes(const GraphNode& node, Call& call) {
    const auto& formals = call.handle->schema().arguments();
    for (size_t i = 0; i < formals.size(); ++i) {
      const auto* alias = formals[i].alias_info();
      if (!alias || !alias->isWrite()) continue;
      if (!call.arguments[i].is_value()) throw std::invalid_argument("it changes a literal");
      call.changed = i;
      const ValueId root = roots_[call.arguments[i].value];
      if (root == program_.images) program_.changes_images = true;
      const auto binding = std::find_if(program_.bindings.begin(), program_.bindings.end(),
                                        [&](const Binding& each) { return each.value == root; });
      if (binding == program_.bindings.end()) continue;
      if (binding->tensor.ends_with("num_batches_tracked")) {
        define_alias(first_result(node), root);
        return true;
      }
      refuse(node, "it changes '" + printable(binding->tensor) + "'",
             "export a model whose forward() leaves its parameters and buffers alone");
    }
    return false;
  }

  void add_results(const GraphNode& node, Call& call) {
    const auto& returns = call.handle->schema().returns();
    const bool is_list =
        returns.size() == 1 && returns[0].type()->kind() == c10::TypeKind::ListType;
    std::vector<GraphArgument> results = node.results;
    if (is_list && results.size() == 1 && results[0].kind == GraphArgument::Kind::list) {
      results = std::vector(results[0].items);
    }
    if (!is_list && results.size() != returns.size()) {
      throw std::invalid_argument("it has " + std::to_string(results.size()) + " results");
    }
    call.returns_list = is_list;
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].kind != GraphArgument::Kind::value) {
        if (call.changed) throw std::invalid_argument("its result has no name");
        call.results.push_back(no_value);
        continue;
      }
      const ValueId id = define(results[i].text, /*is_tensor=*/true);
      call.results.push_back(id);
      if (const auto source = aliased_argument(call, returns[is_list ? 0 : i])) {
        roots_[id] = roots_[*source];
      }
    }
  }

  // The value whose memory a result may share.
  std::optional<ValueId> aliased_argument(const Call& call, const c10::Argument& result) const {
    const auto* alias = result.alias_info();
    if (!alias) return std::nullopt;
    const auto& formals = call.handle->schema().arguments();
    for (size_t i = 0; i < formals.size(); ++i) {
      const auto* other = formals[i].alias_info();
      if (other && other->beforeSets() == alias->beforeSets() && call.arguments[i].is_value()) {
        return call.arguments[i].value;
      }
    }
    return std::nullopt;
  }

  const ExportedGraph& graph_;
  Program program_;
  std::unordered_map<std::string, Value> values_;
  std::vector<ValueId> roots_;  // by value: the one whose memory it may share
};

}  // namespace

Program translate(const ExportedGraph& graph) {
  return Translator(graph).translate();
}

}  // namespace distill
