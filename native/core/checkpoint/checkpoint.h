#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/checkpoint/pickled_tensors.h"
#include "core/checkpoint/tensor_entry.h"
#include "core/checkpoint/tensor_trees.h"
#include "core/checkpoint/zip_archive.h"
#include "core/file.h"

namespace distill {

// The name of the record beside the weights that holds a run's metadata, as JSON.
inline constexpr const char* metadata_record = "distill.json";
// The name of the one that holds the graph of a network which this package does not know by its
// weights, as the JSON of an ExportedProgram.
inline constexpr const char* graph_record = "graph.json";

// A checkpoint: PyTorch's (.pth, .pt) in today's zip format or the older sequence of pickles, an
// exported program (.pt2), or a safetensors file. The content tells which, never the name.
//
// The description of the tensors is read and verified as a whole, including the bounds of every
// tensor, before anything in the file is used. Each tensor is read when it is asked for, after its
// CRC is verified, so that a file takes only the memory of the tensors that are used. It is not
// memory-mapped: another process that shortens a mapped file ends this one with SIGBUS, which no
// code can turn into an error.
class Checkpoint {
 public:
  // Throws ERR_CHECKPOINT_NOT_FOUND, _FORMAT (not a checkpoint), _CORRUPT, _UNSAFE (it asks to call
  // something) or _NO_STATE_DICT.
  static Checkpoint open(const std::string& path);

  const std::string& path() const { return path_; }
  // "zip", "legacy", "pt2" or "safetensors".
  const char* format() const { return format_; }

  // The dicts with tensors, and those around them; the first is the file's own.
  const std::vector<TensorTree>& trees() const { return trees_; }
  // The place of the weights among them; at first usual_place().
  const WeightsPlace& place() const { return place_; }
  // Takes the weights from another place. Throws ERR_CHECKPOINT_CORRUPT where a name is there
  // twice.
  void take(const WeightsPlace& place);
  // The other entries of the file, as passed_over() names them.
  std::vector<std::string> others() const { return passed_over(trees_, place_); }

  // The weights, in the file's order, under the names of a model of today (tensors_at()). Where the
  // file has a graph, names stay as they are, as it refers to them.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const TensorEntry* find(std::string_view name) const;
  // The tensors that a graph needs and the state dict does not have: constants, and buffers that no
  // state dict holds.
  const std::vector<TensorEntry>& constants() const { return constants_; }
  const TensorEntry* find_constant(std::string_view name) const;
  // The graph, as the JSON of an ExportedProgram (torch/_export/serde/schema.py): an exported
  // program's own, or what a file that this package wrote has as `graph_record`. Throws
  // ERR_CHECKPOINT_CORRUPT where it is larger than 64 MiB.
  std::optional<std::string> graph() const;
  // True where there is one, which is not read for that.
  bool has_graph() const { return record_exists(graph_record_); }

  // An owned, contiguous CPU tensor in the file's dtype. Throws ERR_CHECKPOINT_CORRUPT where its
  // CRC does not match.
  at::Tensor read(const TensorEntry& entry) const;

  // Verifies the CRC of every tensor. Throws ERR_CHECKPOINT_CORRUPT.
  void verify() const;

  // A further record of a zip checkpoint or an entry of a safetensors file's metadata, such as what
  // a run says of itself ("distill.json"); nothing where there is none. Throws
  // ERR_CHECKPOINT_CORRUPT where it is larger than a MiB.
  std::optional<std::string> record(std::string_view name) const;

  // The other entries of a safetensors file's metadata, by name, as long as each is no larger than
  // a MiB; the first 64, and none of another file.
  std::map<std::string, std::string> other_metadata() const;

 private:
  Checkpoint(const std::string& path, File file);
  void read_zip();
  void read_pth(const ZipArchive& archive);
  bool record_exists(std::string_view name) const;
  std::optional<std::string> record(std::string_view name, uint64_t most) const;
  void read_legacy();
  void read_constants();
  void verify(const Extent& storage) const;
  void copy_elements(const TensorEntry& entry, char* to) const;
  void read_trees(const Pickle& object, const PickledTensors::FindStorage& find_storage);

  std::string path_;
  File file_;
  const char* format_;
  std::optional<ZipArchive> archive_;
  std::map<std::string, std::string, std::less<>> metadata_;  // of a safetensors file
  std::vector<TensorTree> trees_;
  WeightsPlace place_;
  std::vector<TensorEntry> tensors_;  // at the place
  // Of names, which lie in the tensors: these must not be copied.
  std::unordered_map<std::string_view, size_t> index_;
  std::vector<TensorEntry> constants_;
  std::string constant_bytes_;  // of those that no exported program holds: behind the file's end
  std::string graph_record_ = graph_record;
  mutable std::set<uint64_t> verified_;  // storages, which tensors may share, by their place
};

}  // namespace distill
