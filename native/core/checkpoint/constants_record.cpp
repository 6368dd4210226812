#include "core/checkpoint/constants_record.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/exported_dtype.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/limits.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string encode_base64(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const auto count = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0);
    }
    for (size_t i = 0; i < 4; ++i)
      text += i <= count ? base64_digits[group >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

// Nothing where the text is not base64.
std::optional<std::string> decode_base64(std::string_view text) {
  static const auto values = [] {
    std::array<int8_t, 256> table;
    table.fill(-1);
    for (size_t i = 0; i < base64_digits.size(); ++i) {
      table[static_cast<unsigned char>(base64_digits[i])] = static_cast<int8_t>(i);
    }
    return table;
  }();
  if (text.size() % 4 != 0) return std::nullopt;
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const auto value = values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    group = group << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> bits & 0xFF);
  }
  return bytes;
}

struct Description {
  int64_t dtype = 0;
  std::vector<int64_t> sizes;
  std::string data;
};

Description read_description(JsonReader& json, const std::string& file) {
  Description description;
  std::set<std::string, std::less<>> keys;
  json.object([&](const std::string& key) {
    keys.insert(key);
    if (key == "dtype") {
      description.dtype = json.count();
    } else if (key == "sizes") {
      json.array([&] {
        if (description.sizes.size() == most_dimensions) {
          throw_damaged(file, "a constant has too many dimensions");
        }
        description.sizes.push_back(std::min(json.count(), most_elements));
      });
    } else if (key == "data") {
      description.data = json.string();
    } else {
      json.skip();
    }
  });
  if (!keys.contains("dtype") || !keys.contains("sizes") || !keys.contains("data")) {
    throw_damaged(file, "a constant lacks dtype, sizes or data");
  }
  return description;
}

}  // namespace

std::string serialize_constants(const StateDict& constants) {
  std::string json;
  for (const auto& [name, tensor] : constants) {
    const auto dtype = exported_number(tensor.scalar_type());
    if (!dtype) {
      throw Error("ERR_WRITE", "the constant '" + name + "' is of dtype " +
                                   at::toString(tensor.scalar_type()) +
                                   ", which cannot be written: convert it to float32");
    }
    const auto values = tensor.detach().to(at::kCPU).contiguous();
    std::string sizes;
    for (const auto size : values.sizes()) {
      sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
    }
    json +=
        (json.empty() ? "" : ", ") + json_string(name) + ": {\"dtype\": " + std::to_string(*dtype) +
        ", \"sizes\": [" + sizes + "], \"data\": \"" +
        encode_base64({static_cast<const char*>(values.const_data_ptr()), values.nbytes()}) + "\"}";
  }
  return "{" + json + "}";
}

ConstantsRecord parse_constants(std::string_view json_text, const std::string& file,
                                uint64_t begin) {
  ConstantsRecord record;
  std::set<std::string, std::less<>> names;
  JsonReader json(json_text, file);
  json.object([&](const std::string& name) {
    const auto refuse = [&](const char* reason) {
      throw_damaged(file, "the constant '" + printable(name) + "' " + reason);
    };
    const auto description = read_description(json, file);
    const auto dtype = exported_dtype(description.dtype);
    const auto bytes = decode_base64(description.data);
    if (!dtype || !bytes) refuse("is of an unknown type, or no base64");
    TensorEntry entry{.name = name,
                      .dtype = *dtype,
                      .shape = description.sizes,
                      .strides = std::vector<int64_t>(description.sizes.size()),
                      .offset = 0,
                      .storage = {begin + record.bytes.size(), bytes->size(), std::nullopt}};
    const auto end = static_cast<int64_t>(bytes->size() / at::elementSize(*dtype));
    int64_t stride = 1;
    for (auto i = entry.shape.size(); i-- > 0;) {
      entry.strides[i] = stride;
      if (entry.shape[i] > most_elements / stride) refuse("is larger than its data");
      stride *= std::max<int64_t>(entry.shape[i], 1);
    }
    if (!stays_within(entry, end)) refuse("is larger than its data");
    if (!names.insert(name).second) refuse("comes twice");
    expect_few_tensors(record.tensors.size(), file);
    record.tensors.push_back(std::move(entry));
    record.bytes += *bytes;
  });
  json.end();
  return record;
}

}  // namespace distill
