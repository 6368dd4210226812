#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/pickled_tensors.h"
#include "core/checkpoint/zip_archive.h"

namespace distill {

// A PyTorch checkpoint (.pth, .pt): today's zip format or the older sequence of pickles.
//
// The file is read into memory once and verified as a whole, CRCs and the bounds of every tensor
// included, before anything in it is used. It is not memory-mapped: another process that shortens a
// mapped file ends this one with SIGBUS, which no code can turn into an error.
class Checkpoint {
 public:
  // A file's bytes.
  struct File {
    std::unique_ptr<const char[]> bytes;
    size_t size;
  };

  // Throws ERR_CHECKPOINT_NOT_FOUND, _FORMAT (not a checkpoint), _CORRUPT, _UNSAFE (it asks to call
  // something) or _NO_STATE_DICT.
  static Checkpoint open(const std::string& path);

  const std::string& path() const { return path_; }
  // "zip" or "legacy".
  const char* format() const { return archive_ ? "zip" : "legacy"; }

  // The state dict: the file's own dict, or the one under 'state_dict', 'model' or
  // 'model_state_dict', in the file's order. Names are those of a model of today: the prefixes of
  // DataParallel ('module.') and torch.compile ('_orig_mod.') are stripped where every name carries
  // them, and torchvision's first DenseNet names are joined ('norm.1' to 'norm1').
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const TensorEntry* find(std::string_view name) const;
  // Names in the state dict whose value is no dense tensor.
  const std::vector<std::string>& non_tensors() const { return non_tensors_; }

  // An owned, contiguous CPU tensor in the file's dtype.
  at::Tensor read(const TensorEntry& entry) const;

  // A further record of a zip checkpoint, such as the metadata of a run ("distill.json"); nothing
  // where there is none. Throws ERR_CHECKPOINT_CORRUPT where it is larger than a MiB.
  std::optional<std::string> record(std::string_view name) const;

 private:
  Checkpoint(const std::string& path, File file);
  void read_zip(std::string_view bytes);
  void read_legacy(std::string_view bytes);
  void read_state_dict(const Pickle& object, const PickledTensors::FindStorage& find_storage);

  std::string path_;
  File file_;
  std::optional<ZipArchive> archive_;
  std::vector<TensorEntry> tensors_;
  std::vector<std::string> non_tensors_;
};

}  // namespace distill
