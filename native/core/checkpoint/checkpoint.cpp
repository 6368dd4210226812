#include "core/checkpoint/checkpoint.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/constants_record.h"
#include "core/checkpoint/pickle_reader.h"
#include "core/checkpoint/pt2_archive.h"
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

// Far above any image classifier's checkpoint; below what would exhaust a machine.
constexpr uint64_t largest_file = uint64_t{4} << 30;
constexpr uint64_t largest_record = uint64_t{1} << 20;
// Far above any checkpoint's: one of a DenseNet201 with Adam's state has 2 MB.
constexpr uint64_t largest_pickle = uint64_t{64} << 20;
// The bytes at the beginning of a file that tell its format.
constexpr uint64_t beginning_size = 4096;

[[noreturn]] void throw_format(const std::string& path, const std::string& what_and_remedy) {
  throw Error("ERR_CHECKPOINT_FORMAT", "'" + path + "' " + what_and_remedy);
}

File open_file(const std::string& path) try {
  File file(path);
  if (file.size() > largest_file) {
    throw_format(path,
                 "is larger than 4 GiB, no image classifier's checkpoint: save the weights "
                 "alone with torch.save(model.state_dict(), 'weights.pth')");
  }
  return file;
} catch (const FileError& error) {
  if (error.kind == FileError::Kind::folder)
    throw_format(path, "is a folder: name a .pth file in it");
  if (error.kind == FileError::Kind::special) {
    throw_format(path, "is a device or a pipe: name a .pth file");
  }
  throw Error("ERR_CHECKPOINT_NOT_FOUND", "the checkpoint '" + path + "' cannot be opened: " +
                                              error.what() + "; check the path");
}

// Files that are given for a .pth by mistake, by their first bytes.
void refuse_other_kinds(std::string_view bytes, const std::string& path) {
  struct OtherKind {
    size_t offset;
    std::string_view magic;
    const char* what_and_remedy;
  };
  using namespace std::string_view_literals;
  static constexpr OtherKind other_kinds[] = {
      {0, "version https://git-lfs"sv,
       "is a Git LFS pointer, not the file itself: run 'git lfs pull'"},
      {257, "ustar"sv,
       "is in the tar format of PyTorch before 0.2: load it in PyTorch and torch.save it again"},
      {0, "\x89HDF\r\n"sv, "is an HDF5 (Keras) file: convert it to a PyTorch state dict"},
      {0, "\x1F\x8B"sv, "is compressed with gzip: unpack it first"},
      {0, "\x93NUMPY"sv, "is a NumPy array: save a PyTorch state dict with torch.save"},
      {0, "GGUF"sv, "is a GGUF file: convert it to a PyTorch state dict"},
  };
  if (bytes.empty()) throw_damaged(path, "it is empty");
  for (const auto& kind : other_kinds) {
    if (bytes.size() > kind.offset && bytes.substr(kind.offset).starts_with(kind.magic)) {
      throw_format(path, kind.what_and_remedy);
    }
  }
  const auto text =
      bytes.substr(std::min(bytes.size(), bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF")));
  if (text.starts_with('<')) {
    throw_format(path, "is a web page, not a checkpoint: download the file itself");
  }
  // An ONNX file begins with its IR version (field 1), then the producer's name (field 2).
  if (bytes.size() > 3 && bytes[0] == '\x08' && bytes[1] < 0x20 && bytes[2] == '\x12') {
    throw_format(path,
                 "is an ONNX model, which can only be given as `teacher`, by a name that ends in "
                 "'.onnx': give the PyTorch checkpoint that it was exported from");
  }
}

void expect_little_endian(bool little, const std::string& path) {
  if (!little) {
    throw_format(path,
                 "was written by a big-endian machine: load it in PyTorch on a little-endian "
                 "machine and torch.save it again");
  }
}

// PyTorch's older format: a magic number, a version, a description of the system, the object and
// the keys of its storages, each a pickle; then the storages, each behind its number of elements.
Pickle read_legacy_object(ByteReader& reader, const std::string& path) {
  constexpr std::string_view magic_number("\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19", 10);
  constexpr int64_t protocol_version = 1001;
  if (const Pickle magic(reader, path); magic.root().text != magic_number) {
    throw_format(path,
                 "is a pickle, but not one that torch.save wrote: save the weights with "
                 "torch.save(model.state_dict(), 'weights.pth')");
  }
  if (const Pickle version(reader, path); version.root().integer != protocol_version) {
    throw_format(path, "is in an unknown version of PyTorch's older format: torch.save it again");
  }
  const Pickle system(reader, path);
  const auto& items = system.root().items;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (system[items[i]].text == "little_endian") {
      expect_little_endian(system[items[i + 1]].integer == 1, path);
    }
  }
  return Pickle(reader, path);
}

// The storages follow the pickles, each behind its number of elements. `at` is where they begin.
std::unordered_map<std::string_view, Extent> find_legacy_storages(const File& file, uint64_t at,
                                                                  const Pickle& keys,
                                                                  const Pickle& object,
                                                                  const std::string& path) {
  std::unordered_map<std::string_view, StorageId> ids;
  for (const auto& id : PickledTensors(object, path).storages()) ids.emplace(id.key, id);
  std::unordered_map<std::string_view, Extent> storages;
  for (const auto ref : keys.root().items) {
    const auto id = ids.find(keys[ref].text);
    if (id == ids.end()) throw_damaged(path, "it holds a storage that no tensor uses");
    int64_t numel = 0;
    const auto count = read_part(file, path, at, sizeof numel);
    std::memcpy(&numel, count.data(), sizeof numel);
    at += sizeof numel;
    if (numel != id->second.numel) {
      throw_damaged(path, "a storage's size is not what its tensor says");
    }
    const auto size = id->second.bytes();
    if (size > file.size() - at) throw_damaged(path, "it announces more bytes than it holds");
    storages[id->first] = {at, size, std::nullopt};
    at += size;
  }
  return storages;
}

bool is_contiguous(const TensorEntry& entry) {
  int64_t expected = 1;
  for (auto i = entry.shape.size(); i-- > 0;) {
    if (entry.shape[i] != 1 && entry.strides[i] != expected) return false;
    expected *= entry.shape[i];
  }
  return true;
}

// Copies byte by byte: elements may begin anywhere, at no multiple of their size.
void gather(const TensorEntry& entry, const char* from, char* to) {
  const auto size = at::elementSize(entry.dtype);
  std::vector<int64_t> index(entry.shape.size(), 0);
  int64_t position = 0;
  for (auto left = entry.numel(); left > 0; --left, to += size) {
    std::memcpy(to, from + position * size, size);
    for (auto i = index.size(); i-- > 0;) {
      position += entry.strides[i];
      if (++index[i] < entry.shape[i]) break;
      position -= entry.strides[i] * entry.shape[i];
      index[i] = 0;
    }
  }
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  return Checkpoint(path, open_file(path));
}

Checkpoint::Checkpoint(const std::string& path, File file) : path_(path), file_(std::move(file)) {
  const auto beginning = read_part(file_, path_, 0, std::min(file_.size(), beginning_size));
  // First: the length that it begins with may look like the beginning of any other kind.
  if (is_safetensors(beginning)) {
    format_ = "safetensors";
    auto contents = read_safetensors(file_, path_);
    trees_.push_back({.tensors = std::move(contents.tensors)});
    metadata_ = std::move(contents.metadata);
  } else {
    refuse_other_kinds(beginning, path_);
    if (beginning.starts_with("PK")) {
      read_zip();
    } else {
      read_legacy();
    }
  }
  const bool is_exported = format_ == std::string_view("pt2");
  // The graph of a file refers to its tensors by their names.
  const bool has_graph = is_exported || record_exists(graph_record);
  take(has_graph ? WeightsPlace{.exact = true} : usual_place(trees_));
  if (!is_exported) read_constants();
}

void Checkpoint::read_zip() {
  const auto& archive = archive_.emplace(file_, path_);
  if (!is_pt2(archive)) return read_pth(archive);
  format_ = "pt2";
  auto contents = read_pt2(file_, archive, path_);
  trees_.push_back({.tensors = std::move(contents.tensors)});
  constants_ = std::move(contents.constants);
  graph_record_ = std::move(contents.graph_record);
}

void Checkpoint::read_pth(const ZipArchive& archive) {
  format_ = "zip";
  if (archive.contains("constants.pkl")) {
    throw_format(path_,
                 "is a TorchScript archive: save its weights with "
                 "torch.save(torch.jit.load(file).state_dict(), 'weights.pth')");
  }
  if (!archive.contains("data.pkl")) {
    throw_format(path_,
                 "is a zip archive, but not one that torch.save wrote: save the weights with "
                 "torch.save(model.state_dict(), 'weights.pth')");
  }
  if (archive.contains("byteorder")) {
    expect_little_endian(archive.read(file_, "byteorder", largest_record) == "little", path_);
  }
  const auto bytes = archive.read(file_, "data.pkl", largest_pickle);
  ByteReader reader(bytes, path_);
  const Pickle object(reader, path_);
  read_trees(object,
             [&](const StorageId& id) { return archive.find("data/" + std::string(id.key)); });
}

void Checkpoint::read_legacy() {
  format_ = "legacy";
  const auto bytes = read_part(file_, path_, 0, std::min(file_.size(), largest_pickle));
  // A pickle begins with its protocol, or at protocol 0 with a name or a mark.
  const char first = bytes.front();
  if (first != '\x80' && first != 'c' && first != '(') {
    throw_format(path_,
                 "is no PyTorch checkpoint: give a file written by torch.save(model.state_dict(), "
                 "'weights.pth')");
  }
  ByteReader reader(bytes, path_);
  const auto object = read_legacy_object(reader, path_);
  const Pickle keys(reader, path_);
  const auto storages = find_legacy_storages(file_, reader.position(), keys, object, path_);
  read_trees(object, [&](const StorageId& id) {
    const auto storage = storages.find(id.key);
    if (storage == storages.end()) throw_damaged(path_, "a tensor's storage is missing");
    return storage->second;
  });
}

void Checkpoint::read_constants() {
  const auto json = record(constants_record, largest_graph);
  if (!json) return;
  auto record = parse_constants(*json, path_, /*begin=*/file_.size());
  constants_ = std::move(record.tensors);
  constant_bytes_ = std::move(record.bytes);
}

void Checkpoint::read_trees(const Pickle& object, const PickledTensors::FindStorage& find_storage) {
  trees_ = find_tensor_trees(object, path_, find_storage);
  const bool has_tensors = std::any_of(
      trees_.begin(), trees_.end(), [](const TensorTree& tree) { return !tree.tensors.empty(); });
  if (!has_tensors) throw PickledTensors(object, path_).no_state_dict();
}

void Checkpoint::take(const WeightsPlace& place) {
  place_ = place;
  tensors_ = tensors_at(trees_, place);
  index_.clear();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second) {
      throw_damaged(path_, "it names '" + printable(tensors_[i].name) + "' twice");
    }
  }
}

const TensorEntry* Checkpoint::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorEntry* Checkpoint::find_constant(std::string_view name) const {
  const auto found = std::find_if(constants_.begin(), constants_.end(),
                                  [&](const TensorEntry& tensor) { return tensor.name == name; });
  return found == constants_.end() ? nullptr : &*found;
}

at::Tensor Checkpoint::read(const TensorEntry& entry) const {
  auto tensor = at::empty(entry.shape, entry.dtype);
  if (entry.numel() == 0) return tensor;
  verify(entry.storage);
  auto* data = static_cast<char*>(tensor.mutable_data_ptr());
  copy_elements(entry, data);
  if (entry.dtype == at::kBool) {
    // C++ knows only 0 and 1.
    for (auto* flag = data; flag != data + entry.numel(); ++flag) *flag = *flag != 0;
  }
  return tensor;
}

void Checkpoint::copy_elements(const TensorEntry& entry, char* to) const {
  const auto size = at::elementSize(entry.dtype);
  int64_t elements = 1;  // of the storage, from the tensor's first to its last
  for (size_t i = 0; i < entry.shape.size(); ++i) {
    elements += (entry.shape[i] - 1) * entry.strides[i];
  }
  const auto begin = entry.storage.begin + entry.offset * size;
  const auto read = [&](char* bytes, uint64_t count) {
    if (begin >= file_.size()) {
      std::memcpy(bytes, constant_bytes_.data() + (begin - file_.size()), count);
      return;
    }
    if (!file_.read(bytes, count, begin)) throw_damaged(path_, "it became shorter meanwhile");
  };
  if (is_contiguous(entry)) return read(to, entry.numel() * size);
  constexpr int64_t sparsest = 64;
  if (elements > std::max(sparsest * entry.numel(), int64_t{1} << 20)) {
    throw_format(path_, "holds '" + printable(entry.name) +
                            "' as a small part of a large storage: save it as tensor.clone()");
  }
  const auto bytes = std::make_unique_for_overwrite<char[]>(elements * size);
  read(bytes.get(), elements * size);
  gather(entry, bytes.get(), to);
}

void Checkpoint::verify() const {
  for (const auto& tensor : tensors_) verify(tensor.storage);
  for (const auto& tensor : constants_) verify(tensor.storage);
}

void Checkpoint::verify(const Extent& storage) const {
  if (!storage.crc || !verified_.insert(storage.begin).second) return;
  constexpr uint64_t chunk = uint64_t{1} << 20;
  const auto bytes = std::make_unique_for_overwrite<char[]>(std::min(storage.size, chunk));
  uint32_t crc = 0;
  for (uint64_t done = 0; done < storage.size;) {
    const auto count = std::min(storage.size - done, chunk);
    if (!file_.read(bytes.get(), count, storage.begin + done)) {
      throw_damaged(path_, "it became shorter meanwhile");
    }
    crc = crc32({bytes.get(), count}, crc);
    done += count;
  }
  if (crc == *storage.crc) return;
  verified_.erase(storage.begin);
  const auto record = archive_->name_at(storage.begin);
  throw_damaged(path_, "the CRC-32 of its record '" + printable(record) + "' does not match");
}

std::optional<std::string> Checkpoint::record(std::string_view name) const {
  return record(name, largest_record);
}

std::optional<std::string> Checkpoint::graph() const {
  return record(graph_record_, largest_graph);
}

bool Checkpoint::record_exists(std::string_view name) const {
  return (archive_ && archive_->contains(name)) || metadata_.contains(name);
}

std::optional<std::string> Checkpoint::record(std::string_view name, uint64_t most) const {
  if (archive_ && archive_->contains(name)) return archive_->read(file_, name, most);
  const auto entry = metadata_.find(name);
  if (entry == metadata_.end()) return std::nullopt;
  if (entry->second.size() > most) {
    throw_damaged(path_, "its record '" + printable(name) + "' is larger than " +
                             std::to_string(most >> 20) + " MiB");
  }
  return entry->second;
}

std::map<std::string, std::string> Checkpoint::other_metadata() const {
  constexpr size_t most = 64;
  std::map<std::string, std::string> others;
  for (const auto& [name, text] : metadata_) {
    if (others.size() == most) break;
    if (name == metadata_record || name == graph_record || name == constants_record) continue;
    if (text.size() <= largest_record) others.emplace(name, text);
  }
  return others;
}

}  // namespace distill
