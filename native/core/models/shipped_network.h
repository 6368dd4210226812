#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/checkpoint/checkpoint.h"
#include "core/models/graph_network.h"
#include "core/models/shipped_graph.h"

namespace distill {

// A network of an architecture whose graph is part of the addon.
class ShippedNetwork final : public GraphNetwork {
 public:
  ShippedNetwork(const ShippedFile& file, int64_t classes);

  // As torch.manual_seed(seed) and the model's constructor.
  void initialize(at::Generator generator) override;
  // None: the weights tell what the network is.
  std::string graph() const override { return {}; }

 private:
  const ShippedFile& file_;
};

// The name of the last layer of an architecture.
std::string shipped_head(const ShippedFile& file);

// The number of classes of the network of this architecture in a checkpoint; none where the
// checkpoint holds another. They are told apart by the weights of two or more dimensions: all of
// them must be there, of the architecture's shapes, and no others.
std::optional<int64_t> shipped_classes(const Checkpoint& checkpoint, const ShippedFile& file);

}  // namespace distill
