#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/graph/execution.h"
#include "core/graph/program.h"
#include "core/models/network.h"

namespace distill {

// A network that an exported program describes. Its weights have the module's own names.
class GraphNetwork : public Network {
 public:
  // The network that a checkpoint holds beside its graph, with its weights; frozen ones, which are
  // no part of the state dict, too. Throws ERR_GRAPH, and ERR_CHECKPOINT_… where weights are
  // missing or do not fit.
  static std::unique_ptr<GraphNetwork> load(const Checkpoint& checkpoint);

  // A network whose weights are not yet initialised, with a last layer for so many classes. `file`
  // names the graph in messages. Throws ERR_GRAPH.
  GraphNetwork(std::string json, const std::string& file, int64_t classes);

  StateDict& state() override { return state_; }
  const StateDict& state() const override { return state_; }
  int64_t classes() const override { return classes_; }
  const Linear* head() const override { return head_ ? &*head_ : nullptr; }
  std::vector<at::Tensor> parameters() const override;
  // Its class, as the file says, such as "torchvision.models.resnet.ResNet"; or "".
  const std::string& module() const { return graph_.module; }
  // The last part of that; "graph" where the file does not say it.
  std::string name() const;
  std::optional<int64_t> image_size() const { return executor_.program().image_size; }

  // Draws a fresh last layer as torch.nn.Linear does. Throws ERR_GRAPH for the other weights, which
  // a graph alone does not tell how to draw.
  void initialize(at::Generator generator) override;
  // Takes over another number of classes, with a fresh last layer. Throws ERR_GRAPH where the last
  // layer is neither a linear one nor a convolution.
  void replace_head(int64_t classes, at::Generator generator);
  // Sets the rate of all dropouts. Throws ERR_GRAPH where there is none to set.
  void set_drop_rate(double rate);

  void prepare(int64_t image_size) override;
  int64_t smallest_batch() const override { return has_batch_norm_ ? 2 : 1; }
  at::Tensor draw_dropout(int64_t pictures, at::Generator generator) const override;
  at::Tensor forward(const at::Tensor& images, const at::Tensor& dropout) const override;
  std::unique_ptr<Evaluator> evaluator(const Compute& compute) override;
  std::string graph() const override { return json_; }
  std::string exported_program() const override { return json_; }
  StateDict constants() const override { return constants_; }

  const Executor& executor() const { return executor_; }
  // The program's value that a linear last layer takes.
  std::optional<ValueId> head_input() const;
  // The tensors that the program reads, in the order of its bindings.
  Executor::Tensors tensors() const;

 private:
  GraphNetwork(std::string json, ExportedGraph graph);
  void bind_head();
  void tell_shapes(const at::Tensor& images);

  std::string json_;
  ExportedGraph graph_;
  Executor executor_;
  std::optional<Head> last_layer_;
  int64_t classes_;
  bool has_batch_norm_;
  StateDict state_;      // parameters and buffers
  StateDict constants_;  // tensors that are no part of the module's state dict
  std::optional<Linear> head_;
};

}  // namespace distill
