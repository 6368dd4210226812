#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/tensor_entry.h"
#include "core/checkpoint/zip_archive.h"
#include "core/file.h"

namespace distill {

// The tensors of an exported program, and where its graph is. Names are the module's own, to which
// the graph's signature refers.
struct Pt2Contents {
  std::vector<TensorEntry> tensors;    // parameters and persistent buffers: the state dict
  std::vector<TensorEntry> constants;  // lifted constants and buffers that no state dict holds
  std::string graph_record;            // the record of the ExportedProgram's JSON
};

// A graph's JSON is at most this long; a ViT-B/16's with its stack traces has 0.5 MB.
constexpr uint64_t largest_graph = uint64_t{64} << 20;

// Tells whether a zip archive is one that torch.export.save writes, or another of its kind.
bool is_pt2(const ZipArchive& archive);

// Reads the description of an exported program as PyTorch 2.6 and later save it, and verifies it as
// a whole; `path` names the file in messages. Two layouts are known:
//   - models/model.json, with the tensors' raw bytes in data/weights/ and data/constants/ and their
//     descriptions in model_weights_config.json and model_constants_config.json there (before that,
//     in the same folders, model.pt as torch.save writes it);
//   - serialized_exported_program.json, with serialized_state_dict.pt and serialized_constants.pt
//     as torch.save writes them.
//
// Throws ERR_CHECKPOINT_CORRUPT, ERR_CHECKPOINT_FORMAT (compiled code, several models, a version or
// a kind of tensor that is not read), ERR_CHECKPOINT_UNSAFE (an object that is no tensor).
Pt2Contents read_pt2(const File& file, const ZipArchive& archive, const std::string& path);

}  // namespace distill
