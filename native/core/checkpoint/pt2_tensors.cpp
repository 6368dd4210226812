#include "core/checkpoint/pt2_tensors.h"

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/exported_dtype.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/limits.h"
#include "core/checkpoint/pickle_reader.h"
#include "core/checkpoint/pickled_tensors.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

// 300 bytes a tensor are written.
constexpr uint64_t largest_config = uint64_t{16} << 20;
constexpr uint64_t largest_pickle = uint64_t{64} << 20;
constexpr uint64_t largest_text = uint64_t{1} << 10;

[[noreturn]] void throw_object(const std::string& path, const std::string& name) {
  throw Error("ERR_CHECKPOINT_UNSAFE",
              "'" + path + "' holds '" + printable(name) +
                  "' as a pickled object that is no dense tensor, and only running its code could "
                  "restore it: export a model whose parameters, buffers and constants are plain "
                  "tensors");
}

// The tensors of one folder of an archive, as its config describes them.
class PayloadReader {
 public:
  PayloadReader(const File& file, const ZipArchive& archive, const std::string& path,
                const std::string& folder)
      : file_(file), archive_(archive), path_(path), folder_(folder) {}

  std::vector<TensorEntry> read(const std::string& config);

 private:
  struct Payload {
    std::string path_name;
    bool use_pickle = false;
    bool is_tensor = false;
    int64_t dtype = 0;
    int64_t layout = 0;
    TensorEntry entry;
  };

  // Reads an object's members, of which none may come twice.
  template <typename Member>
  void members(JsonReader& json, Member member) {
    std::set<std::string, std::less<>> keys;
    json.object([&](const std::string& key) {
      if (!keys.insert(key).second) refuse("says '" + printable(key) + "' twice");
      member(key);
    });
  }

  int64_t count(JsonReader& json) const;
  int64_t literal(JsonReader& json);
  std::vector<int64_t> literals(JsonReader& json);
  void read_meta(JsonReader& json, Payload& payload);
  Payload read_payload(JsonReader& json);
  TensorEntry entry_of(Payload payload, const std::string& name);
  TensorEntry pickled_entry(const std::string& record, const std::string& name);

  [[noreturn]] void refuse(const std::string& reason) const {
    throw_damaged(path_, "the description of the tensors in " + folder_ + " " + reason);
  }

  const File& file_;
  const ZipArchive& archive_;
  const std::string& path_;
  const std::string& folder_;
  std::set<std::string> pickled_;  // records: read once each, as reading one takes long
};

int64_t PayloadReader::count(JsonReader& json) const {
  const auto value = json.count();
  if (value > most_elements) refuse("has a size that is no sensible number");
  return value;
}

// {"as_int": 3}; a weight's size is never {"as_expr": …}, a symbol.
int64_t PayloadReader::literal(JsonReader& json) {
  std::optional<int64_t> value;
  members(json, [&](const std::string& kind) {
    if (kind != "as_int") refuse("has a size that is no number");
    value = count(json);
  });
  if (!value) refuse("lacks a size");
  return *value;
}

std::vector<int64_t> PayloadReader::literals(JsonReader& json) {
  std::vector<int64_t> values;
  json.array([&] {
    if (values.size() == most_dimensions) refuse("has too long a shape");
    values.push_back(literal(json));
  });
  return values;
}

void PayloadReader::read_meta(JsonReader& json, Payload& payload) {
  if (json.null()) return;
  payload.is_tensor = true;
  int known = 0;
  members(json, [&](const std::string& key) {
    ++known;
    if (key == "dtype") {
      payload.dtype = count(json);
    } else if (key == "layout") {
      payload.layout = count(json);
    } else if (key == "sizes") {
      payload.entry.shape = literals(json);
    } else if (key == "strides") {
      payload.entry.strides = literals(json);
    } else if (key == "storage_offset") {
      payload.entry.offset = literal(json);
    } else {
      --known;
      json.skip();  // device, requires_grad
    }
  });
  if (known != 5) refuse("lacks the dtype, layout, sizes, strides or storage_offset of a tensor");
}

PayloadReader::Payload PayloadReader::read_payload(JsonReader& json) {
  Payload payload;
  members(json, [&](const std::string& key) {
    if (key == "path_name") {
      payload.path_name = json.string();
    } else if (key == "use_pickle") {
      payload.use_pickle = json.boolean();
    } else if (key == "tensor_meta") {
      read_meta(json, payload);
    } else {
      json.skip();  // is_param
    }
  });
  return payload;
}

TensorEntry PayloadReader::pickled_entry(const std::string& record, const std::string& name) {
  if (!pickled_.insert(record).second) refuse("names one pickled record twice");
  auto tensors = read_pickled(file_, archive_, path_, record);
  if (tensors.size() != 1 || !tensors[0].name.empty()) {
    throw_damaged(path_, "its record '" + printable(record) + "' is no pickled tensor");
  }
  tensors[0].name = name;
  return std::move(tensors[0]);
}

TensorEntry PayloadReader::entry_of(Payload payload, const std::string& name) {
  const auto shown = "'" + printable(name) + "'";
  const auto record = folder_ + payload.path_name;
  if (!payload.is_tensor) throw_object(path_, name);
  if (payload.use_pickle) return pickled_entry(record, name);
  constexpr int64_t strided = 7;
  const auto dtype = exported_dtype(payload.dtype);
  if (!dtype || payload.layout != strided) {
    const auto kind = dtype ? "a sparse tensor"
                            : "a tensor of type " + std::to_string(payload.dtype) +
                                  " of torch.export's ScalarType";
    throw Error("ERR_CHECKPOINT_FORMAT",
                "'" + path_ + "' holds " + shown + " as " + kind +
                    ", which is not read: convert it to a dense float32 tensor and export the "
                    "model again");
  }
  auto& entry = payload.entry;
  entry.name = name;
  entry.dtype = *dtype;
  entry.storage = archive_.find(record);
  const auto size = at::elementSize(entry.dtype);
  const auto end = static_cast<int64_t>(entry.storage.size / size);
  if (entry.storage.size % size != 0 || entry.shape.size() != entry.strides.size() ||
      !stays_within(entry, end)) {
    throw_damaged(path_, "the tensor " + shown + " reaches beyond its storage");
  }
  return std::move(entry);
}

std::vector<TensorEntry> PayloadReader::read(const std::string& config) {
  const auto text = archive_.read(file_, folder_ + config, largest_config);
  JsonReader json(text, path_);
  std::vector<TensorEntry> tensors;
  bool has_config = false;
  members(json, [&](const std::string& key) {
    if (key != "config") return json.skip();
    has_config = true;
    json.object([&](const std::string& name) {
      expect_few_tensors(tensors.size(), path_);
      tensors.push_back(entry_of(read_payload(json), name));
    });
  });
  json.end();
  if (!has_config) refuse("has no 'config'");
  return tensors;
}

}  // namespace

std::vector<TensorEntry> read_described(const File& file, const ZipArchive& archive,
                                        const std::string& path, const std::string& folder,
                                        const std::string& config) {
  return PayloadReader(file, archive, path, folder).read(config);
}

std::vector<TensorEntry> read_pickled(const File& file, const ZipArchive& archive,
                                      const std::string& path, const std::string& record) {
  const auto extent = archive.find(record);
  if (extent.size == 0) return {};
  const ZipArchive inner(file, path, extent);
  const auto bytes = inner.read(file, "data.pkl", largest_pickle);
  if (inner.contains("byteorder") && inner.read(file, "byteorder", largest_text) != "little") {
    throw_damaged(path, "its record '" + printable(record) + "' is a big-endian machine's");
  }
  ByteReader reader(bytes, path);
  const Pickle object(reader, path);
  const PickledTensors pickled(object, path);
  std::vector<TensorEntry> tensors;
  const auto add = [&](const Pickle::Value& value, std::string name) {
    auto tensor = pickled.tensor(
        value, [&](const StorageId& id) { return inner.find("data/" + std::string(id.key)); });
    if (!tensor) throw_object(path, name.empty() ? record : name);
    expect_few_tensors(tensors.size(), path);
    tensor->name = std::move(name);
    tensors.push_back(std::move(*tensor));
  };
  const auto& root = object.root();
  if (root.kind != Pickle::Kind::dict) {
    add(root, "");
    return tensors;
  }
  for (size_t i = 0; i < root.items.size(); i += 2) {
    const auto& key = object[root.items[i]];
    if (key.kind != Pickle::Kind::text || key.text.empty() || key.text.size() > longest_name) {
      throw_damaged(path, "its record '" + printable(record) + "' has a key that is no name");
    }
    add(object[root.items[i + 1]], std::string(key.text));
  }
  return tensors;
}

}  // namespace distill
