#pragma once

#include <string>
#include <string_view>

#include "core/checkpoint/state_dict.h"
#include "core/names.h"

namespace distill {

// The file formats of checkpoints that are written.
enum class Format { pth, safetensors };
inline constexpr Named<Format> formats[] = {{"pth", Format::pth},
                                            {"safetensors", Format::safetensors}};
// Returns safetensors if the name ends in ".safetensors", else pth.
Format format_of(std::string_view path);

// Replaces `path` by a checkpoint in that format, as write_file_atomically does. PyTorch reads it
// (torch.load with weights_only=True, safetensors.torch.load_file) as a dict of these tensors;
// `metadata_json` travels beside them as `metadata_record`, unless it is empty. Equal tensors and
// metadata give equal bytes. Throws ERR_WRITE.
void write_checkpoint(const std::string& path, Format format, const StateDict& state_dict,
                      const std::string& metadata_json);

// Does the same for other tensors than a model's, float32, int64 or uint8, as safetensors.
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
