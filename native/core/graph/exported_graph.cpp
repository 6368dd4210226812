#include "core/graph/exported_graph.h"

#include <algorithm>
#include <functional>

#include "core/checkpoint/exported_dtype.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/text.h"
#include "core/error.h"

namespace distill {
namespace {

// The version of PyTorch's schema that is read (torch/_export/serde/schema.py). A change that is
// not compatible raises it.
constexpr int64_t schema_major = 8;
// Far above any image classifier's.
constexpr size_t most_nodes = 100'000;
// Arguments, results, types and their sizes; a ViT-B/16 has 10,000. Each takes up to 200 bytes.
constexpr size_t most_parts = 250'000;

using Kind = GraphArgument::Kind;

class GraphReader {
 public:
  GraphReader(std::string_view json, const std::string& file) : json_(json, file), file_(file) {}

  // Called behind each node's metadata, with its text and the number of bytes that follow it.
  std::function<void(const std::string&, size_t)> on_metadata = [](const std::string&, size_t) {};

  ExportedGraph read() {
    graph_.file = file_;
    bool has_graph = false;
    json_.object([&](const std::string& member) {
      if (member == "graph_module") {
        has_graph = true;
        graph_module();
      } else if (member == "schema_version") {
        schema_version();
      } else if (member == "torch_version") {
        graph_.torch_version = json_.string();
      } else {
        json_.any();
      }
    });
    json_.end();
    if (!has_graph) refuse("the program holds no graph");
    refuse_other_schemas();
    return std::move(graph_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& remedy = {}) const {
    throw Error("ERR_GRAPH", "'" + file_ + "' cannot be used: " + what +
                                 (remedy.empty() ? "; export the model again with torch.export"
                                                 : "; " + remedy));
  }

  // Bounds the memory that a small text can ask for.
  void count_part() {
    if (++parts_ > most_parts) refuse("it has more than 250,000 arguments");
  }

  void refuse_other_schemas() const {
    if (schema_ == schema_major) return;
    refuse("it is in version " + std::to_string(schema_) +
               " of torch.export's schema, written by PyTorch " + printable(graph_.torch_version) +
               ", and version " + std::to_string(schema_major) + " is read",
           "export it with one of PyTorch 2.6 to 2.14");
  }

  void schema_version() {
    json_.object([&](const std::string& member) {
      if (member == "major") {
        schema_ = json_.integer();
      } else {
        json_.any();
      }
    });
  }

  void graph_module() {
    json_.object([&](const std::string& member) {
      if (member == "graph") {
        graph();
      } else if (member == "signature") {
        signature();
      } else {
        json_.any();
      }
    });
  }

  void graph() {
    json_.object([&](const std::string& member) {
      if (member == "nodes") {
        json_.array([&] { node(); });
      } else if (member == "tensor_values") {
        json_.object([&](const std::string& value) { tensor_value(value); });
      } else {
        json_.any();
      }
    });
  }

  void node() {
    if (graph_.nodes.size() == most_nodes) refuse("it has more than 100,000 nodes");
    GraphNode& node = graph_.nodes.emplace_back();
    std::string metadata;
    json_.object([&](const std::string& member) {
      if (member == "target") {
        node.target = json_.string();
      } else if (member == "name") {
        if (!json_.null()) node.name = json_.string();
      } else if (member == "inputs") {
        json_.array([&] { named_argument(node); });
      } else if (member == "outputs") {
        json_.array([&] {
          count_part();
          node.results.push_back(argument());
        });
      } else if (member == "metadata") {
        metadata = json_.any();
        on_metadata(metadata, json_.left());
      } else {
        json_.any();
      }
    });
    refuse_unsupported("at the node '" + printable(node.name) + "' (" + printable(node.target) +
                       ") it");
    if (graph_.module.empty()) graph_.module = module_in(metadata);
  }

  // Skips an argument that is not supported. It is refused behind its node, whose name comes later.
  GraphArgument unsupported(const std::string& what, const std::string& remedy = {}) {
    unsupported_ = {what, remedy};
    json_.any();
    return {};
  }

  void refuse_unsupported(const std::string& where) const {
    const auto& [what, remedy] = unsupported_;
    if (!what.empty()) refuse(where + " " + what, remedy);
  }

  // The class of the outermost module in a node's metadata: {"nn_module_stack":
  // "L__self__,,torchvision.models.resnet.ResNet;L__self__conv1,…"}.
  std::string module_in(const std::string& metadata) const {
    std::string stack;
    if (metadata.empty()) return stack;
    JsonReader reader(metadata, file_);
    reader.object([&](const std::string& member) {
      if (member == "nn_module_stack") {
        stack = reader.string();
      } else {
        reader.any();
      }
    });
    stack.erase(std::min(stack.size(), stack.find(';')));
    return stack.substr(stack.rfind(',') + 1);
  }

  void named_argument(GraphNode& node) {
    count_part();
    auto& named = node.arguments.emplace_back();
    json_.object([&](const std::string& member) {
      if (member == "name") {
        named.first = json_.string();
      } else if (member == "arg") {
        named.second = argument();
      } else {
        json_.any();
      }
    });
  }

  GraphArgument scalar(Kind kind) {
    GraphArgument argument{kind};
    if (kind == Kind::number) {
      argument.number = json_.number();
    } else if (kind == Kind::boolean) {
      argument.integer = json_.boolean();
    } else if (kind == Kind::text) {
      argument.text = json_.string();
    } else {
      argument.integer = json_.integer();
    }
    return argument;
  }

  // {"name": "conv2d"}
  GraphArgument tensor() {
    GraphArgument argument{Kind::value};
    json_.object([&](const std::string& member) {
      if (member == "name") {
        argument.text = json_.string();
      } else {
        json_.any();
      }
    });
    return argument;
  }

  // {"as_name": "sym_size"} or {"as_int": 4}
  GraphArgument symbol(Kind literal) {
    GraphArgument argument;
    json_.object([&](const std::string& member) {
      if (member == "as_name") {
        argument.kind = Kind::value;
        argument.text = json_.string();
      } else {
        argument = scalar(literal);
      }
    });
    return argument;
  }

  GraphArgument device() {
    GraphArgument argument{Kind::device};
    json_.object([&](const std::string& member) {
      if (member == "type") {
        argument.text = json_.string();
      } else {
        json_.any();
      }
    });
    return argument;
  }

  template <typename Item>
  GraphArgument list(Item item) {
    GraphArgument argument{Kind::list};
    json_.array([&] {
      count_part();
      argument.items.push_back(item());
    });
    return argument;
  }

  // {"as_none": true} or {"as_tensor": {…}}
  GraphArgument optional_tensor() {
    GraphArgument argument;
    json_.object([&](const std::string& member) {
      if (member == "as_none") {
        json_.any();
      } else {
        argument = tensor();
      }
    });
    return argument;
  }

  GraphArgument argument() {
    GraphArgument argument;
    json_.object([&](const std::string& kind) { argument = argument_of(kind); });
    return argument;
  }

  GraphArgument argument_of(const std::string& kind) {
    const auto scalars = [&](Kind item) { return list([&] { return scalar(item); }); };
    const auto symbols = [&](Kind item) { return list([&] { return symbol(item); }); };
    if (kind == "as_none") {
      json_.any();
      return {};
    }
    if (kind == "as_tensor") return tensor();
    if (kind == "as_optional_tensor") return optional_tensor();
    if (kind == "as_tensors") return list([&] { return tensor(); });
    if (kind == "as_optional_tensors") return list([&] { return optional_tensor(); });
    if (kind == "as_int") return scalar(Kind::integer);
    if (kind == "as_ints") return scalars(Kind::integer);
    if (kind == "as_float") return scalar(Kind::number);
    if (kind == "as_floats") return scalars(Kind::number);
    if (kind == "as_bool") return scalar(Kind::boolean);
    if (kind == "as_bools") return scalars(Kind::boolean);
    if (kind == "as_string") return scalar(Kind::text);
    if (kind == "as_sym_int") return symbol(Kind::integer);
    if (kind == "as_sym_ints") return symbols(Kind::integer);
    if (kind == "as_sym_float") return symbol(Kind::number);
    if (kind == "as_sym_floats") return symbols(Kind::number);
    if (kind == "as_sym_bool") return symbol(Kind::boolean);
    if (kind == "as_sym_bools") return symbols(Kind::boolean);
    if (kind == "as_scalar_type") return scalar(Kind::dtype);
    if (kind == "as_layout") return scalar(Kind::layout);
    if (kind == "as_memory_format") return scalar(Kind::memory_format);
    if (kind == "as_device") return device();
    if (kind == "as_graph") {
      return unsupported(
          "calls a subgraph",
          "export the model without control flow and without torch.no_grad() in its forward()");
    }
    if (kind == "as_custom_obj") return unsupported("uses a custom object");
    return unsupported("has an argument of the kind '" + printable(kind) + "'");
  }

  void tensor_value(const std::string& value) {
    count_part();
    GraphTensorType type{at::kFloat, {}};
    json_.object([&](const std::string& member) {
      if (member == "dtype") {
        type.dtype = exported_dtype(json_.integer()).value_or(at::ScalarType::Undefined);
      } else if (member == "sizes") {
        json_.array([&] {
          count_part();
          type.sizes.push_back(size());
        });
      } else {
        json_.any();
      }
    });
    graph_.types.insert_or_assign(value, std::move(type));
  }

  // {"as_int": 3}, or {"as_expr": …}, which is none
  std::optional<int64_t> size() {
    std::optional<int64_t> size;
    json_.object([&](const std::string& member) {
      if (member == "as_int") {
        size = json_.integer();
      } else {
        json_.any();
      }
    });
    return size;
  }

  void signature() {
    json_.object([&](const std::string& member) {
      if (member == "input_specs") {
        json_.array([&] { json_.object([&](const std::string& kind) { input(kind); }); });
      } else if (member == "output_specs") {
        json_.array([&] { json_.object([&](const std::string& kind) { output(kind); }); });
      } else {
        json_.any();
      }
    });
  }

  void input(const std::string& kind) {
    using InputKind = GraphInput::Kind;
    count_part();
    GraphInput input{InputKind::user, {}, {}};
    if (kind == "parameter") {
      input.kind = InputKind::parameter;
    } else if (kind == "buffer") {
      input.kind = InputKind::buffer;
    } else if (kind == "tensor_constant") {
      input.kind = InputKind::constant;
    } else if (kind != "user_input") {
      refuse("it has an input of the kind '" + printable(kind) + "'");
    }
    bool is_persistent = true;
    json_.object([&](const std::string& member) {
      if (member == "arg") {
        input.value = input.kind == InputKind::user ? user_input() : tensor().text;
      } else if (member == "persistent") {
        is_persistent = json_.boolean();
      } else if (member.ends_with("_name")) {
        input.tensor = json_.string();
      } else {
        json_.any();
      }
    });
    // A buffer that is no part of the state dict is a constant.
    if (!is_persistent) input.kind = InputKind::constant;
    graph_.inputs.push_back(std::move(input));
  }

  std::string user_input() {
    const GraphArgument value = argument();
    refuse_unsupported("its input");
    if (value.kind == Kind::value) return value.text;
    if (value.kind == Kind::none) return {};
    refuse("its model takes other inputs than tensors",
           "export a model whose forward() takes one batch of pictures");
  }

  void output(const std::string& kind) {
    count_part();
    if (kind != "user_output") {
      // Of a model that was exported in training mode: the statistics that BatchNorm moves.
      if (kind != "buffer_mutation")
        refuse("it has an output of the kind '" + printable(kind) + "'");
      json_.any();
      return;
    }
    json_.object([&](const std::string& member) {
      if (member != "arg") {
        json_.any();
        return;
      }
      const GraphArgument value = argument();
      refuse_unsupported("its output");
      if (value.kind != Kind::none) graph_.outputs.push_back(value.text);
    });
  }

  JsonReader json_;
  const std::string& file_;
  ExportedGraph graph_;
  int64_t schema_ = 0;
  std::pair<std::string, std::string> unsupported_;  // what there is, and the remedy
  size_t parts_ = 0;
};

}  // namespace

const GraphTensorType* ExportedGraph::type(std::string_view value) const {
  const auto found = types.find(value);
  return found == types.end() ? nullptr : &found->second;
}

ExportedGraph parse_exported_graph(std::string_view json, const std::string& file) {
  return GraphReader(json, file).read();
}

std::string without_node_metadata(std::string_view json, const std::string& file) {
  std::string text;
  size_t done = 0;
  GraphReader reader(json, file);
  reader.on_metadata = [&](const std::string& metadata, size_t left) {
    const size_t end = json.size() - left, begin = end - metadata.size();
    // The first node's stays: it names the model's class.
    if (done == 0) {
      text.append(json.substr(0, end));
    } else {
      text.append(json.substr(done, begin - done)).append("{}");
    }
    done = end;
  };
  reader.read();
  return text.append(json.substr(done));
}

}  // namespace distill
