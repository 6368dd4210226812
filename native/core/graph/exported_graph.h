#pragma once

#include <ATen/core/ATen_fwd.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace distill {

// An argument of a call, or its result: the name of a value that the graph computes, or a literal.
struct GraphArgument {
  enum class Kind {
    none,
    value,  // by name
    integer,
    number,
    boolean,
    text,
    dtype,
    layout,
    memory_format,
    device,
    list,
  };
  Kind kind = Kind::none;
  std::string text;     // of value, text and device
  int64_t integer = 0;  // of integer and boolean; PyTorch's own number of a dtype, … (schema.py)
  double number = 0;
  std::vector<GraphArgument> items;  // of a list
};

// A call of an operator.
struct GraphNode {
  std::string name;    // unique in PyTorch's files
  std::string target;  // such as "torch.ops.aten.conv2d.default"
  std::vector<std::pair<std::string, GraphArgument>> arguments;  // by the schema's names
  std::vector<GraphArgument> results;
};

// A value that the graph is given.
struct GraphInput {
  enum class Kind { parameter, buffer, constant, user };
  Kind kind;
  std::string value;   // its name in the graph
  std::string tensor;  // its name in the file: the module's own; empty for the user's input
};

// The type of a tensor, as the file says. A size that is no literal is none.
struct GraphTensorType {
  at::ScalarType dtype;
  std::vector<std::optional<int64_t>> sizes;
};

// An exported program as torch.export.save writes it (torch/_export/serde/schema.py), read as data
// alone: what its calls mean, and whether they are allowed, is decided in program.h.
struct ExportedGraph {
  std::string file;           // for messages
  std::string torch_version;  // that wrote it, such as "2.13.0+cpu"
  std::string module;  // class of the model, such as "torchvision.models.resnet.ResNet"; or ""
  std::vector<GraphInput> inputs;
  std::vector<GraphNode> nodes;
  std::vector<std::string> outputs;                           // the values that the module returns
  std::map<std::string, GraphTensorType, std::less<>> types;  // by value

  const GraphTensorType* type(std::string_view value) const;
};

// Reads the JSON of an exported program (models/model.json). `file` names the file in messages.
// Throws ERR_CHECKPOINT_CORRUPT where the JSON is no such program, and ERR_GRAPH where it asks for
// what is not supported: another version of the schema, subgraphs, custom objects.
ExportedGraph parse_exported_graph(std::string_view json, const std::string& file);

// The JSON without what its nodes say about the Python code that they come from, which is most of
// it. torch.export.load reads it as before.
std::string without_node_metadata(std::string_view json, const std::string& file);

}  // namespace distill
