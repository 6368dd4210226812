#pragma once

#include "core/graph/exported_graph.h"
#include "core/graph/program.h"

namespace distill {

// Binds the calls of a graph to the dispatcher's operators, node by node: names to values,
// arguments to schemas. The kinds of BatchNorm and of dropout become one each. Throws ERR_GRAPH, as
// make_program() does.
Program translate(const ExportedGraph& graph);

}  // namespace distill
