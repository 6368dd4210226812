#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

// The JSON of an ExportedProgram (torch/_export/serde/schema.py) as text that goes into a file
// again: nothing here runs a graph.

// A tensor that a graph reads and a file has to hold.
struct GraphTensor {
  std::string value;  // its name in the graph, such as "p_fc_weight"
  std::string name;   // the module's own, such as "fc.weight"
  bool is_parameter = false;
};

// Returns them in the order of the graph's signature. `source` names the graph in messages. Throws
// ERR_CHECKPOINT_CORRUPT.
std::vector<GraphTensor> graph_tensors(std::string_view graph_json, const std::string& source);

// Returns the graph with other sizes of values, by the values' names ("linear", "p_fc_weight"), as
// another number of classes makes them. Sizes that are symbols, such as a dynamic batch, stay so,
// and strides keep the order that they have. Values without an entry, and whatever else the graph
// says, stay as they are. Throws ERR_CHECKPOINT_CORRUPT.
std::string with_shapes(std::string_view graph_json,
                        const std::map<std::string, std::vector<int64_t>>& shapes,
                        const std::string& source);

}  // namespace distill
