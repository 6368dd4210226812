#include "core/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/limits.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

constexpr uint64_t largest_header = 100'000'000;  // the reference implementation's bound
constexpr std::string_view metadata_key = "__metadata__";
constexpr size_t most_metadata = size_t{1} << 15;  // entries

constexpr std::pair<std::string_view, at::ScalarType> dtypes[] = {
    {"F32", at::kFloat}, {"F64", at::kDouble}, {"F16", at::kHalf},         {"BF16", at::kBFloat16},
    {"U8", at::kByte},   {"I8", at::kChar},    {"I16", at::kShort},        {"I32", at::kInt},
    {"I64", at::kLong},  {"BOOL", at::kBool},  {"C64", at::kComplexFloat},
};

// The header's description of one tensor.
struct Description {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> data_offsets;  // first byte and the one behind the last
};

std::vector<int64_t> read_counts(JsonReader& json, size_t most, const std::string& file) {
  std::vector<int64_t> counts;
  json.array([&] {
    if (counts.size() == most) throw_damaged(file, "a list in its header is too long");
    counts.push_back(json.count());
  });
  return counts;
}

Description read_description(JsonReader& json, const std::string& name, const std::string& file) {
  Description description;
  std::set<std::string, std::less<>> keys;
  json.object([&](const std::string& key) {
    if (!keys.insert(key).second) {
      throw_damaged(file,
                    "its header says '" + printable(key) + "' of '" + printable(name) + "' twice");
    }
    if (key == "dtype") {
      description.dtype = json.string();
    } else if (key == "shape") {
      description.shape = read_counts(json, most_dimensions, file);
    } else if (key == "data_offsets") {
      description.data_offsets = read_counts(json, 2, file);
    } else {
      throw_damaged(
          file, "its header says an unknown '" + printable(key) + "' of '" + printable(name) + "'");
    }
  });
  if (keys.size() != 3 || description.data_offsets.size() != 2) {
    throw_damaged(file,
                  "its header lacks dtype, shape or data_offsets of '" + printable(name) + "'");
  }
  return description;
}

at::ScalarType find_dtype(const Description& description, const std::string& name,
                          const std::string& file) {
  for (const auto& [known, dtype] : dtypes) {
    if (known == description.dtype) return dtype;
  }
  throw Error("ERR_CHECKPOINT_FORMAT", "'" + file + "' holds '" + printable(name) + "' as " +
                                           printable(description.dtype) +
                                           ", which is not read: convert it to F32");
}

// `data` is where the tensors' bytes are.
TensorEntry entry_of(const std::string& name, const Description& description, const Extent& data,
                     const std::string& file) {
  const auto refuse = [&](const char* reason) {
    throw_damaged(file, "the tensor '" + printable(name) + "' " + reason);
  };
  TensorEntry entry{.name = name,
                    .dtype = find_dtype(description, name, file),
                    .shape = description.shape,
                    .strides = std::vector<int64_t>(description.shape.size()),
                    .offset = 0,
                    .storage = {}};
  const auto begin = description.data_offsets[0], end = description.data_offsets[1];
  if (begin > end || end > static_cast<int64_t>(data.size)) refuse("lies outside the file");
  entry.storage = {data.begin + begin, static_cast<uint64_t>(end - begin), std::nullopt};
  int64_t stride = 1;
  for (auto i = entry.shape.size(); i-- > 0;) {
    entry.strides[i] = stride;
    if (entry.shape[i] > most_elements / stride) refuse("is larger than the file");
    stride *= std::max<int64_t>(entry.shape[i], 1);
  }
  const auto bytes = entry.numel() * static_cast<int64_t>(at::elementSize(entry.dtype));
  if (bytes != end - begin) refuse("has another size than its shape and dtype say");
  return entry;
}

// Every byte belongs to one tensor.
void refuse_gaps(const std::vector<TensorEntry>& tensors, const Extent& data,
                 const std::string& file) {
  std::vector<std::pair<uint64_t, uint64_t>> parts;
  for (const auto& tensor : tensors) parts.emplace_back(tensor.storage.begin, tensor.storage.size);
  std::sort(parts.begin(), parts.end());
  auto position = data.begin;
  for (const auto& [begin, size] : parts) {
    if (begin != position) {
      throw_damaged(file, "its tensors overlap, or leave a gap between them");
    }
    position += size;
  }
  if (position != data.begin + data.size) {
    throw_damaged(file, "it holds bytes that belong to no tensor");
  }
}

}  // namespace

bool is_safetensors(std::string_view beginning) {
  constexpr size_t length_bytes = 8;
  if (beginning.size() <= length_bytes || beginning[length_bytes] != '{') return false;
  // No text begins with so small a number.
  uint64_t length;
  std::memcpy(&length, beginning.data(), sizeof length);
  return length < uint64_t{1} << 32;
}

Safetensors read_safetensors(const File& opened, const std::string& file) {
  uint64_t length = 0;
  const auto start = read_part(opened, file, 0, sizeof length);
  std::memcpy(&length, start.data(), sizeof length);
  if (length > largest_header) throw_damaged(file, "its header is larger than 100 MB");
  const auto header = read_part(opened, file, sizeof length, length);
  JsonReader json(header, file);
  const auto begin = sizeof length + length;
  const Extent data{begin, opened.size() - begin, std::nullopt};

  Safetensors contents;
  std::set<std::string, std::less<>> names;
  json.object([&](const std::string& name) {
    if (!names.insert(name).second) {
      throw_damaged(file, "its header names '" + printable(name) + "' twice");
    }
    if (name != metadata_key) {
      expect_few_tensors(contents.tensors.size(), file);
      contents.tensors.push_back(entry_of(name, read_description(json, name, file), data, file));
      return;
    }
    json.object([&](const std::string& key) {
      if (contents.metadata.size() == most_metadata) {
        throw_damaged(file, "its metadata has too many entries");
      }
      if (!contents.metadata.emplace(key, json.string()).second) {
        throw_damaged(file, "its metadata names '" + printable(key) + "' twice");
      }
    });
  });
  json.end();
  if (contents.tensors.empty()) {
    throw Error("ERR_CHECKPOINT_NO_STATE_DICT",
                "'" + file +
                    "' holds no tensors: save the weights with "
                    "safetensors.torch.save_file(model.state_dict(), "
                    "'weights.safetensors')");
  }
  refuse_gaps(contents.tensors, data, file);
  return contents;
}

std::string serialize_safetensors(const StateDict& state_dict,
                                  const std::map<std::string, std::string>& metadata) {
  // Larger elements first, as the reference implementation has it: then each tensor is aligned.
  std::vector<StateDict::Entry> entries(state_dict.begin(), state_dict.end());
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });

  std::string header = "{" + json_string(metadata_key) + ":{";
  for (const auto& [key, text] : metadata) {
    header += (header.back() == '{' ? "" : ",") + json_string(key) + ":" + json_string(text);
  }
  header += "}";
  std::string data;
  for (const auto& [name, tensor] : entries) {
    const auto dtype = std::find_if(
        std::begin(dtypes), std::end(dtypes),
        [type = tensor.scalar_type()](const auto& known) { return known.second == type; });
    if (dtype == std::end(dtypes)) {
      throw Error("ERR_WRITE", "'" + name + "' is of dtype " + at::toString(tensor.scalar_type()) +
                                   ", which cannot be written: convert it to float32");
    }
    std::string shape;
    for (const auto size : tensor.sizes()) {
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    }
    const auto begin = data.size();
    const at::Tensor values = tensor.detach().to(at::kCPU).contiguous();
    data.append(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
    header += "," + json_string(name) + ":{\"dtype\":\"" + std::string(dtype->first) +
              "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
              std::to_string(data.size()) + "]}";
  }
  header += "}";
  // Spaces, so that the tensors begin at a multiple of eight.
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > largest_header) {
    throw Error("ERR_WRITE", "a header of more than 100 MB cannot be written: shorten the names");
  }
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

}  // namespace distill
