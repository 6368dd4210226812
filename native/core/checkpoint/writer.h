#pragma once

#include <string>
#include <string_view>

#include "core/checkpoint/state_dict.h"

namespace distill {

// The bytes of a .pth that torch.load(weights_only=True) turns into an OrderedDict of these
// tensors. `metadata_json` travels in the same zip as the record "distill.json", which PyTorch
// passes over; none is written where it is empty. Equal tensors give equal bytes.
std::string serialize_state_dict(const StateDict& state_dict, const std::string& metadata_json);

// Replaces `path` by `bytes` in one step: whoever opens it, whenever this process or the machine
// stops, finds the old file or the whole new one. Throws ERR_WRITE; then the old file is untouched.
void write_file_atomically(const std::string& path, std::string_view bytes);

// Shows before a long run that write_file_atomically(path) can work. Throws ERR_WRITE.
void check_writable(const std::string& path);

}  // namespace distill
