#pragma once

#include <optional>
#include <string>

#include "core/checkpoint/checkpoint.h"
#include "core/models/registry.h"

namespace distill {

// A file whose weights are taken from wherever in it they fit an architecture.
struct ModelFile {
  Checkpoint checkpoint;
  // Nothing where no architecture fits: then the checkpoint lists what it would without one.
  std::optional<Recognized> recognized;
  // True for averaged weights, such as an exponential moving average (EMA).
  bool averaged = false;
  // The reason why nothing was recognised where one is known, as a sentence without a full stop:
  // several networks, or one with another head.
  std::string problem;
};

// Opens a file as training programs write them. Weights fit at any key, under any prefix that their
// names share, and with a last layer of another name: `classifier.1`, `fc`, `head.fc` for the
// architecture's own, where it is a single linear layer. Averaged weights are those whose keys or
// prefix say so ('ema', 'averaged', 'swa', …); of a file with both, plain ones are taken unless
// `averaged`. Of several that are left, those under 'state_dict', 'model' or 'model_state_dict' are
// taken. Throws what Checkpoint::open() throws.
ModelFile open_model(const std::string& path, bool averaged);

// The network in a file. Throws as load_network(checkpoint), and ERR_MODEL_ARCHITECTURE with the
// file's problem.
LoadedNetwork load_network(const std::string& path, bool averaged);

// Loads the teacher of a distillation. Throws as load_teacher(checkpoint), and
// ERR_TEACHER_ARCHITECTURE with the file's problem.
LoadedNetwork load_teacher(const std::string& path, bool averaged);

}  // namespace distill
