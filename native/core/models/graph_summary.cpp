#include "core/models/graph_summary.h"

#include "core/error.h"
#include "core/graph/program.h"

namespace distill {
namespace {

// "aten.conv2d" of "torch.ops.aten.conv2d.default".
std::string short_name(std::string target) {
  for (const std::string& prefix : {"torch.ops.", "_operator."}) {
    if (target.starts_with(prefix)) target.erase(0, prefix.size());
  }
  constexpr std::string_view plain = ".default";
  if (target.ends_with(plain)) target.resize(target.size() - plain.size());
  return target;
}

}  // namespace

std::string name_of_module(const std::string& module) {
  return module.empty() ? "graph" : module.substr(module.rfind('.') + 1);
}

GraphSummary summarize_graph(const Checkpoint& checkpoint) {
  GraphSummary summary;
  try {
    const ExportedGraph graph = parse_exported_graph(checkpoint.graph().value(), checkpoint.path());
    summary.module = graph.module;
    summary.torch_version = graph.torch_version;
    for (const GraphNode& node : graph.nodes) ++summary.operators[short_name(node.target)];
    const Program program = make_program(graph);
    summary.image_size = program.image_size;
    summary.classes = program.classes;
    // The last layer may have been replaced since the graph was made.
    const auto head = find_head(program);
    const TensorEntry* last = head ? checkpoint.find(head->weight) : nullptr;
    if (last && !last->shape.empty()) summary.classes = last->shape[0];
  } catch (const Error& error) {
    summary.refusal = error.what();
  }
  return summary;
}

}  // namespace distill
