#include "core/checkpoint/graph_json.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/json_object.h"
#include "core/checkpoint/tensor_entry.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

// A size or a stride: {"as_int": 3}, or {"as_expr": {"expr_str": …, "hint": {"as_int": 2}}}.
struct SymInt {
  std::string json;
  std::string expression;        // SymPy's, of a symbol
  std::optional<int64_t> value;  // of a literal, or a symbol's in the example that was exported
  bool is_literal = false;
};

SymInt read_sym_int(JsonReader& outer, const std::string& source) {
  SymInt read;
  read.json = outer.any();
  JsonReader json(read.json, source);
  json.object([&](const std::string& kind) {
    if (kind == "as_int") {
      read.is_literal = true;
      read.value = json.count();
      return;
    }
    json.object([&](const std::string& member) {
      if (member == "expr_str") {
        read.expression = json.string();
      } else if (member != "hint") {
        json.skip();
      } else if (!json.null()) {
        json.object([&](const std::string&) { read.value = json.count(); });
      }
    });
  });
  return read;
}

std::vector<SymInt> read_sym_ints(std::string_view text, const std::string& source) {
  std::vector<SymInt> read;
  JsonReader json(text, source);
  json.array([&] { read.push_back(read_sym_int(json, source)); });
  json.end();
  return read;
}

std::string literal(int64_t value) {
  return "{\"as_int\": " + std::to_string(value) + "}";
}

std::string list_of(const std::vector<SymInt>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + value.json;
  return "[" + text + "]";
}

// Multiplies a stride by `to` / `from`, where that leaves a whole number.
void scale(SymInt& stride, int64_t from, int64_t to) {
  if (from == 0 || to == 0 || !stride.value) return;
  if (*stride.value > most_elements || *stride.value * to % from != 0) return;
  stride.value = *stride.value * to / from;
  if (stride.is_literal) {
    stride.json = literal(*stride.value);
    return;
  }
  stride.expression = "Mul(Rational(" + std::to_string(to) + ", " + std::to_string(from) + "), " +
                      stride.expression + ")";
  stride.json = "{\"as_expr\": {\"expr_str\": " + json_string(stride.expression) +
                ", \"hint\": " + literal(*stride.value) + "}}";
}

// Tells whether a step along dimension `outer` passes over all of dimension `inner`.
bool encloses(const std::vector<SymInt>& strides, size_t outer, size_t inner) {
  const auto &a = strides[outer].value, &b = strides[inner].value;
  return a && b && *a != *b ? *a > *b : outer < inner;
}

// Returns the description of a tensor with these sizes.
std::string resized(const std::string& meta_json, const std::string& name,
                    const std::vector<int64_t>& shape, const std::string& source) {
  JsonObject meta = JsonObject::parse(meta_json, source);
  const auto member = [&](const char* key) {
    const auto* text = meta.find(key);
    if (!text)
      throw_damaged(source, "its graph does not tell the " + std::string(key) + " of '" +
                                printable(name) + "'");
    return read_sym_ints(*text, source);
  };
  auto sizes = member("sizes"), strides = member("strides");
  if (sizes.size() != shape.size() || strides.size() != shape.size()) {
    throw_damaged(source, "its graph gives '" + printable(name) + "' another number of dimensions");
  }
  const auto before = strides;
  bool is_changed = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!sizes[i].is_literal || sizes[i].value == shape[i]) continue;
    is_changed = true;
    for (size_t k = 0; k < shape.size(); ++k) {
      if (k != i && encloses(before, k, i)) scale(strides[k], *sizes[i].value, shape[i]);
    }
    sizes[i].json = literal(shape[i]);
  }
  if (!is_changed) return meta_json;
  meta.set("sizes", list_of(sizes));
  meta.set("strides", list_of(strides));
  return meta.text();
}

}  // namespace

std::vector<GraphTensor> graph_tensors(std::string_view graph_json, const std::string& source) {
  std::vector<GraphTensor> tensors;
  JsonReader json(graph_json, source);
  const auto member = [&](const char* name, const auto& read) {
    json.object([&](const std::string& key) {
      if (key == name) {
        read();
      } else {
        json.skip();
      }
    });
  };
  // {"parameter": {"arg": {"name": …}, "parameter_name": …}}; a buffer and a constant likewise.
  const auto read_spec = [&] {
    json.object([&](const std::string& kind) {
      if (kind != "parameter" && kind != "buffer" && kind != "tensor_constant") return json.skip();
      GraphTensor tensor{.is_parameter = kind == "parameter"};
      json.object([&](const std::string& key) {
        if (key == "arg") {
          member("name", [&] { tensor.value = json.string(); });
        } else if (key == kind + "_name") {
          tensor.name = json.string();
        } else {
          json.skip();
        }
      });
      tensors.push_back(std::move(tensor));
    });
  };
  member("graph_module", [&] {
    member("signature", [&] { member("input_specs", [&] { json.array(read_spec); }); });
  });
  json.end();
  return tensors;
}

std::string with_shapes(std::string_view graph_json,
                        const std::map<std::string, std::vector<int64_t>>& shapes,
                        const std::string& source) {
  // The objects on the way to the values, each the value of a member of the one before.
  constexpr const char* way[] = {"graph_module", "graph", "tensor_values"};
  std::vector<JsonObject> objects = {JsonObject::parse(graph_json, source)};
  for (const auto* name : way) {
    const auto* text = objects.back().find(name);
    if (!text) throw_damaged(source, "its graph has no '" + std::string(name) + "'");
    objects.push_back(JsonObject::parse(*text, source));
  }
  for (const auto& [name, shape] : shapes) {
    if (const auto* meta = objects.back().find(name)) {
      objects.back().set(name, resized(*meta, name, shape, source));
    }
  }
  for (size_t depth = objects.size() - 1; depth > 0; --depth) {
    objects[depth - 1].set(way[depth - 1], objects[depth].text());
  }
  return objects[0].text();
}

}  // namespace distill
