#include "core/models/graph_network.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/checkpoint/graph_json.h"
#include "core/checkpoint/text.h"
#include "core/device/autocast.h"
#include "core/device/memory.h"
#include "core/error.h"
#include "core/graph/limits.h"
#include "core/models/graph_evaluator.h"
#include "core/models/graph_summary.h"
#include "core/nn/weights.h"

namespace distill {
namespace {

at::ScalarType stored_dtype(at::ScalarType dtype) {
  return at::isFloatingType(dtype) ? at::kFloat : dtype;
}

at::Tensor uninitialized(const std::vector<int64_t>& shape, at::ScalarType dtype) {
  auto options = at::TensorOptions(dtype);
  // Convolutions in channels-last memory read their weights in that layout, too.
  if (shape.size() == 4) options = options.memory_format(at::MemoryFormat::ChannelsLast);
  return at::empty(shape, options);
}

// The literal sizes of a weight, as the graph says.
std::vector<int64_t> shape_of(const ExportedGraph& graph, const GraphInput& input) {
  const GraphTensorType* type = graph.type(input.value);
  std::vector<int64_t> shape;
  for (const auto& size : type ? type->sizes : std::vector<std::optional<int64_t>>{std::nullopt}) {
    if (!size || *size < 0) {
      throw Error("ERR_GRAPH", "'" + graph.file + "' cannot be used: its weight '" +
                                   printable(input.tensor) +
                                   "' has no shape; export the model again with torch.export");
    }
    shape.push_back(*size);
  }
  if (type->dtype == at::ScalarType::Undefined) {
    throw Error("ERR_GRAPH", "'" + graph.file + "' cannot be used: its weight '" +
                                 printable(input.tensor) +
                                 "' is of a type that is not read; convert the model to float32 "
                                 "and export it again with torch.export");
  }
  return shape;
}

}  // namespace

GraphNetwork::GraphNetwork(std::string json, ExportedGraph graph)
    : json_(std::move(json)),
      graph_(std::move(graph)),
      executor_(make_program(graph_)),
      last_layer_(find_head(executor_.program())),
      classes_(executor_.program().classes),
      has_batch_norm_(
          std::any_of(executor_.program().calls.begin(), executor_.program().calls.end(),
                      [](const Call& call) { return call.kind == OperatorKind::batch_norm; })) {}

GraphNetwork::GraphNetwork(std::string json, const std::string& file, int64_t classes)
    : GraphNetwork(json, parse_exported_graph(json, file)) {
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind == GraphInput::Kind::user) continue;
    std::vector<int64_t> shape = shape_of(graph_, input);
    if (last_layer_ && (input.tensor == last_layer_->weight || input.tensor == last_layer_->bias)) {
      shape.at(0) = classes;
    }
    state_.insert(input.tensor,
                  uninitialized(shape, stored_dtype(graph_.type(input.value)->dtype)));
  }
  classes_ = classes;
  bind_head();
}

std::unique_ptr<GraphNetwork> GraphNetwork::load(const Checkpoint& checkpoint) {
  std::string json = checkpoint.graph().value();
  ExportedGraph graph = parse_exported_graph(json, checkpoint.path());
  std::unique_ptr<GraphNetwork> network(new GraphNetwork(std::move(json), std::move(graph)));
  const ExportedGraph& description = network->graph_;
  std::vector<TensorSpec> expected;
  for (const GraphInput& input : description.inputs) {
    if (input.kind == GraphInput::Kind::user) continue;
    std::vector<int64_t> shape = shape_of(description, input);
    const at::ScalarType dtype = stored_dtype(description.type(input.value)->dtype);
    if (input.kind == GraphInput::Kind::constant) {
      const auto& constants = checkpoint.constants();
      const auto entry = std::find_if(constants.begin(), constants.end(), [&](const auto& each) {
        return each.name == input.tensor && each.shape == shape;
      });
      if (entry == constants.end()) {
        throw Error("ERR_CHECKPOINT_MISMATCH",
                    "'" + checkpoint.path() + "' lacks the constant '" + printable(input.tensor) +
                        "' of its graph: take the file from its source again");
      }
      network->constants_.insert(input.tensor, checkpoint.read(*entry).to(dtype));
      continue;
    }
    // A last layer may have been replaced since the graph was made.
    const TensorEntry* entry = checkpoint.find(input.tensor);
    const auto& last = network->last_layer_;
    const bool is_last = last && (input.tensor == last->weight || input.tensor == last->bias);
    if (is_last && entry && !entry->shape.empty() && !shape.empty()) {
      shape[0] = entry->shape[0];
      network->classes_ = shape[0];
    }
    expected.push_back({input.tensor, shape, dtype});
  }
  const StateDict loaded = load_state_dict(checkpoint, expected, "its own graph");
  for (const auto& [name, tensor] : loaded) {
    network->state_.insert(
        name, tensor.dim() == 4 ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor);
  }
  network->bind_head();
  return network;
}

void GraphNetwork::bind_head() {
  if (!last_layer_ || !last_layer_->is_linear) return;
  const at::Tensor* bias = last_layer_->bias.empty() ? nullptr : &state_.at(last_layer_->bias);
  if (state_.at(last_layer_->weight).dim() != 2 || (bias && bias->dim() != 1)) return;
  head_.emplace(state_.at(last_layer_->weight), bias ? *bias : at::Tensor());
}

std::vector<at::Tensor> GraphNetwork::parameters() const {
  std::vector<at::Tensor> parameters;
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind == GraphInput::Kind::parameter) parameters.push_back(state_.at(input.tensor));
  }
  return parameters;
}

void GraphNetwork::initialize(at::Generator generator) {
  throw Error("ERR_GRAPH", "'" + graph_.file +
                               "' does not tell how fresh weights are drawn: begin with its own");
}

void GraphNetwork::replace_head(int64_t classes, at::Generator generator) {
  if (!last_layer_) {
    throw Error("ERR_GRAPH",
                "'" + graph_.file + "' has " + std::to_string(classes_) + " classes instead of " +
                    std::to_string(classes) +
                    ", and its last layer is no linear one that could be replaced: export a model "
                    "with " +
                    std::to_string(classes) + " classes");
  }
  std::vector<int64_t> shape = state_.at(last_layer_->weight).sizes().vec();
  shape[0] = classes;
  const bool has_bias = !last_layer_->bias.empty();
  Linear fresh(uninitialized(shape, at::kFloat), has_bias ? at::empty({classes}) : at::Tensor());
  fresh.initialize(std::move(generator));
  state_.insert(last_layer_->weight, fresh.weight);
  if (has_bias) state_.insert(last_layer_->bias, fresh.bias);
  classes_ = classes;
  bind_head();
}

std::string GraphNetwork::name() const {
  return name_of_module(graph_.module);
}

void GraphNetwork::set_drop_rate(double rate) {
  const auto& calls = executor_.program().calls;
  const bool drops = std::any_of(calls.begin(), calls.end(), [](const Call& call) {
    return call.kind == OperatorKind::dropout || call.kind == OperatorKind::feature_dropout;
  });
  if (rate > 0 && !drops) {
    throw Error(
        "ERR_GRAPH",
        "'" + graph_.file + "' has no dropout, of which dropRate is the rate: leave dropRate out");
  }
  executor_.set_drop_rate(rate);
}

std::optional<ValueId> GraphNetwork::head_input() const {
  if (!head_) return std::nullopt;
  return executor_.program().calls[last_layer_->call].argument("input").value;
}

Executor::Tensors GraphNetwork::tensors() const {
  Executor::Tensors tensors;
  for (const Binding& binding : executor_.program().bindings) {
    const at::Tensor* weight = state_.find(binding.tensor);
    tensors.push_back(weight ? *weight : constants_.at(binding.tensor));
  }
  return tensors;
}

void GraphNetwork::prepare(int64_t image_size) {
  const auto& wanted = executor_.program().image_size;
  if (wanted && *wanted != image_size) {
    throw Error("ERR_GRAPH", "'" + graph_.file + "' takes pictures of " + std::to_string(*wanted) +
                                 " x " + std::to_string(*wanted) + " pixels, and imageSize is " +
                                 std::to_string(image_size) + ": set imageSize to " +
                                 std::to_string(*wanted));
  }
  const c10::NoGradGuard no_grad;
  const at::Tensor images =
      at::zeros({2, 3, image_size, image_size},
                at::TensorOptions().memory_format(at::MemoryFormat::ChannelsLast));
  const AllocationLimit limit(evaluation_memory(images.size(0)));
  const at::Tensor logits = executor_.measure(tensors(), images);
  if (!logits.is_floating_point() || logits.sizes() != at::IntArrayRef({2, classes_})) {
    throw Error("ERR_GRAPH", "'" + graph_.file +
                                 "' is no classifier: for 2 pictures its result is no " +
                                 "floating-point tensor of 2 x " + std::to_string(classes_) +
                                 "; export a model that returns the logits alone");
  }
  if (classes_ != executor_.program().classes) tell_shapes(images);
}

// The file's graph tells the shapes of another last layer, too.
void GraphNetwork::tell_shapes(const at::Tensor& images) {
  const Program& program = executor_.program();
  std::map<std::string, std::vector<int64_t>> shapes;
  const Executor::Tensors weights = tensors();
  for (size_t i = 0; i < weights.size(); ++i) {
    shapes[program.values.at(program.bindings[i].value)] = weights[i].sizes().vec();
  }
  executor_.evaluate(weights, images, [&](ValueId value, const c10::IValue& computed) {
    if (computed.isTensor()) {
      shapes[program.values.at(value)] = computed.toTensor().sizes().vec();
    }
  });
  json_ = with_shapes(json_, shapes, graph_.file);
}

at::Tensor GraphNetwork::draw_dropout(int64_t pictures, at::Generator generator) const {
  std::vector<at::Tensor> factors;
  for (const Executor::Dropout& dropout : executor_.dropouts()) {
    const double keep = 1 - dropout.rate;
    at::Tensor drawn = at::empty({pictures, dropout.factors}).bernoulli_(keep, generator);
    factors.push_back(keep > 0 ? drawn.div_(keep) : drawn);
  }
  return factors.empty() ? at::Tensor() : at::cat(factors, 1);
}

at::Tensor GraphNetwork::forward(const at::Tensor& images, const at::Tensor& dropout) const {
  {
    const c10::NoGradGuard no_grad;
    for (const auto& [name, tensor] : state_) {
      if (name.ends_with("num_batches_tracked")) at::Tensor(tensor).add_(1);
    }
  }
  const Autocast autocast(images);
  return executor_.train(tensors(), images, dropout).to(at::kFloat);
}

std::unique_ptr<Evaluator> GraphNetwork::evaluator(const Compute& compute) {
  return std::make_unique<GraphEvaluator>(*this, compute);
}

}  // namespace distill
