#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/state_dict.h"
#include "core/checkpoint/tensor_entry.h"

namespace distill {

// The name of the record of a .pth or a safetensors file that holds the tensors which a graph
// beside the weights needs and the state dict does not have, as JSON:
//   {"mean": {"dtype": 7, "sizes": [3, 1, 1], "data": "AAAAPw…"}}
// with torch.export's number of the type and the contiguous elements in base64 (RFC 4648).
inline constexpr const char* constants_record = "constants.json";

std::string serialize_constants(const StateDict& constants);

// Such tensors, and the bytes in which they lie; `begin` is the place of the first byte.
struct ConstantsRecord {
  std::vector<TensorEntry> tensors;
  std::string bytes;
};

// Reads the record; `file` names the file in messages. Throws ERR_CHECKPOINT_CORRUPT.
ConstantsRecord parse_constants(std::string_view json_text, const std::string& file,
                                uint64_t begin);

}  // namespace distill
