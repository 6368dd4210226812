#include "core/models/registry.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "core/error.h"
#include "core/models/densenet.h"
#include "core/models/graph_network.h"
#include "core/models/shipped_network.h"
#include "core/models/student.h"
#include "core/nn/weights.h"

namespace distill {
namespace {

std::optional<NetworkOptions> with_classes(std::optional<int64_t> classes) {
  if (!classes) return std::nullopt;
  return NetworkOptions{*classes};
}

// torchvision's DenseNet of a variant.
Architecture densenet(const DenseNetVariant& variant) {
  return {variant.name,
          variant.name,
          {Role::teacher},
          [&variant](const Checkpoint& checkpoint) {
            return with_classes(densenet_classes(checkpoint, variant));
          },
          [&variant](const NetworkOptions& options) {
            return std::make_unique<DenseNet>(variant, options.classes);
          },
          /*has_width=*/false,
          /*head=*/[] { return std::string("classifier"); }};
}

// The reference's student, of any width.
Architecture cnn() {
  return {"cnn",
          "a student",
          {Role::student},
          [](const Checkpoint& checkpoint) -> std::optional<NetworkOptions> {
            const auto shape = student_shape(checkpoint);
            if (!shape) return std::nullopt;
            return NetworkOptions{.classes = shape->classes, .width = shape->width};
          },
          [](const NetworkOptions& options) {
            return std::make_unique<Student>(
                options.classes, options.drop_rate.value_or(Student::reference_drop_rate),
                options.width);
          },
          /*has_width=*/true,
          /*head=*/[] { return std::string("classifier.3"); }};
}

// A network whose graph is part of the addon.
Architecture shipped(const ShippedFile& file) {
  const std::string name(file.name);
  return {name,
          name,
          {Role::teacher, Role::student},
          [&file](const Checkpoint& checkpoint) {
            return with_classes(shipped_classes(checkpoint, file));
          },
          [&file](const NetworkOptions& options) {
            auto network = std::make_unique<ShippedNetwork>(file, options.classes);
            if (options.drop_rate) network->set_drop_rate(*options.drop_rate);
            return network;
          },
          /*has_width=*/false,
          /*head=*/[&file] { return shipped_head(file); }};
}

constexpr const char* known_networks = "a network that is known by its state dict";
constexpr const char* known_teachers =
    "a network that is known by its state dict; give one of these as teacher";

}  // namespace

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> all = [] {
    std::vector<Architecture> architectures = {
        densenet(densenet121),
        densenet(densenet161),
        densenet(densenet169),
        densenet(densenet201),
        cnn(),
    };
    for (const ShippedFile& file : shipped_files()) {
      if (file.name != "cnn") architectures.push_back(shipped(file));
    }
    return architectures;
  }();
  return all;
}

namespace {

[[noreturn]] void refuse(const std::string& code, const Checkpoint& checkpoint,
                         const std::string& expected) {
  std::string names;
  for (size_t i = 0; i < checkpoint.tensors().size() && i < 3; ++i) {
    names += (i ? ", '" : "'") + checkpoint.tensors()[i].name + "'";
  }
  throw Error(code, "'" + checkpoint.path() + "' holds " +
                        std::to_string(checkpoint.tensors().size()) + " tensors (" + names +
                        ", …), which are not those of " + expected);
}

LoadedNetwork load(const Recognized& recognized, const Checkpoint& checkpoint) {
  LoadedNetwork loaded{recognized.architecture->name, create_network(recognized)};
  load_weights(*loaded.network, *recognized.architecture, checkpoint);
  return loaded;
}

// Returns true where two networks give the same logits for pictures of noise.
bool answer_alike(Network& one, Network& other, int64_t image_size) {
  const c10::NoGradGuard no_grad;
  const at::Tensor images =
      at::randn({2, 3, image_size, image_size}, at::detail::createCPUGenerator(/*seed=*/0))
          .contiguous(at::MemoryFormat::ChannelsLast);
  const Compute compute;
  const at::Tensor a = one.evaluator(compute)->forward(images),
                   b = other.evaluator(compute)->forward(images);
  return a.sizes() == b.sizes() && at::allclose(a, b, /*rtol=*/1e-3, /*atol=*/1e-4);
}

// A checkpoint's weights in an architecture that has code of its own, if that gives the graph's
// logits; nullptr otherwise.
std::unique_ptr<Network> as_faster_network(const Checkpoint& checkpoint, const Recognized& known,
                                           GraphNetwork& graph) try {
  auto network = create_network(known);
  if (dynamic_cast<const GraphNetwork*>(network.get())) return nullptr;
  load_weights(*network, *known.architecture, checkpoint);
  constexpr int64_t any_size = 64;
  const int64_t size = graph.image_size().value_or(any_size);
  graph.prepare(size);
  return answer_alike(*network, graph, size) ? std::move(network) : nullptr;
} catch (const Error&) {  // its names alone are known
  return nullptr;
}

// A network that comes with its graph. Where its weights are those of an architecture that has code
// of its own, which is faster, and that gives the same logits, it is that one.
LoadedNetwork load_graph(const Checkpoint& checkpoint) {
  auto network = GraphNetwork::load(checkpoint);
  if (const auto known = recognize(checkpoint)) {
    if (auto faster = as_faster_network(checkpoint, *known, *network)) {
      return {known->architecture->name, std::move(faster)};
    }
  }
  std::string name = network->name();
  return {std::move(name), std::move(network)};
}

}  // namespace

const Architecture& find_architecture(const std::string& name) {
  const auto found =
      std::find_if(architectures().begin(), architectures().end(),
                   [&](const Architecture& architecture) { return architecture.name == name; });
  if (found == architectures().end()) {
    throw Error("ERR_MODEL_ARCHITECTURE", "there is no architecture '" + name + "'");
  }
  return *found;
}

std::optional<Recognized> recognize(const Checkpoint& checkpoint) {
  for (const Architecture& architecture : architectures()) {
    if (const auto options = architecture.options_of(checkpoint)) {
      return Recognized{&architecture, *options};
    }
  }
  return std::nullopt;
}

std::unique_ptr<Network> create_network(const Recognized& recognized) {
  return recognized.architecture->create(recognized.options);
}

LoadedNetwork load_network(const Checkpoint& checkpoint) {
  if (checkpoint.has_graph()) return load_graph(checkpoint);
  const auto recognized = recognize(checkpoint);
  if (!recognized) refuse("ERR_MODEL_ARCHITECTURE", checkpoint, known_networks);
  return load(*recognized, checkpoint);
}

LoadedNetwork load_teacher(const Checkpoint& checkpoint) {
  if (checkpoint.has_graph()) return load_graph(checkpoint);
  const auto recognized = recognize(checkpoint);
  if (!recognized || !recognized->architecture->has(Role::teacher)) {
    refuse("ERR_TEACHER_ARCHITECTURE", checkpoint, known_teachers);
  }
  return load(*recognized, checkpoint);
}

void load_weights(Network& network, const Architecture& architecture,
                  const Checkpoint& checkpoint) {
  load_weights(network.state(), checkpoint,
               architecture.title + " with " + std::to_string(network.classes()) + " classes");
}

}  // namespace distill
