#include "core/models/network.h"

namespace distill {

CheckpointContents contents_of(const Network& network, Format format) {
  CheckpointContents contents{.state = on_host(network.state())};
  contents.graph = format == Format::pt2 ? network.exported_program() : network.graph();
  if (!contents.graph.empty()) contents.constants = network.constants();
  return contents;
}

}  // namespace distill
