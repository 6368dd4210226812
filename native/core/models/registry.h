#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/models/network.h"

namespace distill {

// The parts that a network may have in a distillation.
enum class Role { teacher, student };

struct NetworkOptions {
  int64_t classes;
  std::optional<double> drop_rate = {};  // of a student's dropout; none: the architecture's own
  double width = 1;                      // of 'cnn' alone
};

// A kind of network, by name.
struct Architecture {
  std::string name;   // in options, files and results, such as "densenet121"
  std::string title;  // in messages, such as "a student"
  std::vector<Role> roles;
  // The options of the network in a checkpoint, read off names and shapes; none where the
  // checkpoint holds another kind of network.
  std::function<std::optional<NetworkOptions>(const Checkpoint&)> options_of;
  // Makes a network whose weights are not yet initialised.
  std::function<std::unique_ptr<Network>(const NetworkOptions&)> create;
  bool has_width = false;  // whether there are wider and narrower ones
  // Returns the name of its last layer, a linear one, which files may give another name.
  std::function<std::string()> head;

  bool has(Role role) const { return std::find(roles.begin(), roles.end(), role) != roles.end(); }
};

// All that there are. A new one is added here (registry.cpp), and nowhere else.
const std::vector<Architecture>& architectures();

// The architecture of this name. Throws ERR_MODEL_ARCHITECTURE where there is none.
const Architecture& find_architecture(const std::string& name);

// The kind of network that a checkpoint holds, if it is one of these.
struct Recognized {
  const Architecture* architecture;
  NetworkOptions options;
};
std::optional<Recognized> recognize(const Checkpoint& checkpoint);

// A network of this kind, without its weights.
std::unique_ptr<Network> create_network(const Recognized& recognized);

// A network with a checkpoint's weights, complete and as float32, on the CPU.
struct LoadedNetwork {
  std::string architecture;  // its name, or the class of the model that was exported
  std::unique_ptr<Network> network;
};

// A network of known architecture, or of any that comes with its graph. Throws
// ERR_MODEL_ARCHITECTURE where the checkpoint holds neither, ERR_GRAPH, and what reading it throws.
LoadedNetwork load_network(const Checkpoint& checkpoint);

// Loads the teacher of a distillation. Throws ERR_TEACHER_ARCHITECTURE where the checkpoint holds
// no network with this role, and what reading it throws.
LoadedNetwork load_teacher(const Checkpoint& checkpoint);

// Fills the weights of a network of this architecture from a checkpoint, strictly (load_weights).
void load_weights(Network& network, const Architecture& architecture, const Checkpoint& checkpoint);

}  // namespace distill
