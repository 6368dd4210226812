#pragma once

#include <string>
#include <string_view>

#include "core/checkpoint/state_dict.h"
#include "core/names.h"

namespace distill {

// The file formats of checkpoints that are written.
enum class Format { pth, safetensors, pt2 };
inline constexpr Named<Format> formats[] = {
    {"pth", Format::pth}, {"safetensors", Format::safetensors}, {"pt2", Format::pt2}};
// Returns safetensors if the name ends in ".safetensors", pt2 if in ".pt2", else pth.
Format format_of(std::string_view path);

// The contents of a checkpoint that is written.
struct CheckpointContents {
  StateDict state;
  std::string metadata = {};  // of the run, as JSON; empty for none
  // The network as the JSON of an ExportedProgram. Empty where the weights tell what it is; a .pt2
  // needs it.
  std::string graph = {};
  StateDict constants = {};  // the graph's tensors that are no part of the state dict
};

// Reads all that a checkpoint holds, as it is there. Throws what reading throws.
CheckpointContents read_contents(const Checkpoint& checkpoint);

// Replaces `path` by a checkpoint in that format, as write_file_atomically does. PyTorch reads a
// .pth or a safetensors file (torch.load with weights_only=True, safetensors.torch.load_file) as a
// dict of the state's tensors, and a .pt2 with torch.export.load. What else there is lies beside
// them as `metadata_record`, `graph_record` and `constants_record`, which PyTorch passes over.
// Equal contents give equal bytes. Throws ERR_WRITE.
void write_checkpoint(const std::string& path, Format format, const CheckpointContents& contents);

// Writes other tensors than a model's, float32, int64 or uint8, as safetensors in the same way.
void write_tensors(const std::string& path, const StateDict& tensors,
                   const std::string& metadata_json);

// Replaces `path` by `bytes` in one step: whoever opens it, whenever this process or the machine
// stops, finds the old file or the whole new one. A symbolic link stays, and what it leads to is
// written; permissions stay as well. Throws ERR_WRITE; then the old file is untouched.
void write_file_atomically(const std::string& path, std::string_view bytes);

// Shows before a long run that write_file_atomically(path) can work, and removes what killed runs
// have left in that folder. Throws ERR_WRITE.
void check_writable(const std::string& path);

}  // namespace distill
