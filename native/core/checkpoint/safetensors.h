#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/state_dict.h"
#include "core/checkpoint/tensor_entry.h"
#include "core/file.h"

namespace distill {

// The safetensors format: the length of a JSON header in eight bytes, the header, which says of
// each tensor its dtype, its shape and where its bytes lie, and these bytes, without a gap.
struct Safetensors {
  std::vector<TensorEntry> tensors;                          // in the order of the header
  std::map<std::string, std::string, std::less<>> metadata;  // its "__metadata__"
};

// Tells whether a file that begins so is in this format, even if it is cut short.
bool is_safetensors(std::string_view beginning);

// Reads the header and verifies it as a whole; `file` names it in messages. Throws
// ERR_CHECKPOINT_CORRUPT, ERR_CHECKPOINT_FORMAT for a dtype that PyTorch's checkpoints cannot have
// either, ERR_CHECKPOINT_NO_STATE_DICT where it holds no tensor.
Safetensors read_safetensors(const File& opened, const std::string& file);

// The bytes of a file with these tensors. Equal tensors and metadata give equal bytes.
std::string serialize_safetensors(const StateDict& state_dict,
                                  const std::map<std::string, std::string>& metadata);

}  // namespace distill
