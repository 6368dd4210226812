#include "core/models/shipped_graph.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/checkpoint/json.h"

namespace distill {
namespace {

const std::string source = "a shipped architecture";  // in messages

// The items of one of a file's lists, which stand on a line each, as JSON.
std::string_view list(std::string_view text, std::string_view key) {
  const std::string begin = "\"" + std::string(key) + "\":[\n";
  const size_t at = text.find(begin);
  if (at == text.npos) throw std::logic_error(source + " lacks " + begin);
  text.remove_prefix(at + begin.size() - 2);
  return text.substr(0, text.find("\n]") + 2);
}

void replace_all(std::string& text, std::string_view what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

// Calls item() for each item of a list, and puts a comma between what they return.
template <typename T, typename Item>
std::string joined(const std::vector<T>& items, Item item) {
  std::string text;
  for (const T& each : items) text.append(text.empty() ? "" : ",").append(item(each));
  return text;
}

bool is_buffer(const ShippedTensor& tensor) {
  return tensor.name.ends_with(".running_mean") || tensor.name.ends_with(".running_var") ||
         tensor.name.ends_with(".num_batches_tracked");
}

// The graph's name of a tensor, as a JSON string.
std::string argument_of(const ShippedTensor& tensor) {
  std::string name = (is_buffer(tensor) ? "b_" : "p_") + tensor.name;
  std::replace(name.begin(), name.end(), '.', '_');
  return json_string(name);
}

std::string integers(const std::vector<int64_t>& values) {
  return joined(values, [](int64_t value) { return "{\"as_int\":" + std::to_string(value) + "}"; });
}

std::string input_of(const ShippedTensor& tensor) {
  return "{\"as_tensor\":{\"name\":" + argument_of(tensor) + "}}";
}

std::string spec_of(const ShippedTensor& tensor) {
  const std::string argument = "{\"arg\":{\"name\":" + argument_of(tensor) + "},";
  const std::string name = json_string(tensor.name);
  return is_buffer(tensor)
             ? "{\"buffer\":" + argument + "\"buffer_name\":" + name + ",\"persistent\":true}}"
             : "{\"parameter\":" + argument + "\"parameter_name\":" + name + "}}";
}

// A contiguous tensor on the CPU: float32 or, of the counter, int64.
std::string value_of(const ShippedTensor& tensor) {
  std::vector<int64_t> strides(tensor.shape.size(), 1);
  for (size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * tensor.shape[i];
  const bool is_counter = tensor.name.ends_with(".num_batches_tracked");
  return argument_of(tensor) + ":{\"dtype\":" + (is_counter ? "5" : "7") + ",\"sizes\":[" +
         integers(tensor.shape) + "],\"requires_grad\":" + (is_buffer(tensor) ? "false" : "true") +
         ",\"device\":{\"type\":\"cpu\",\"index\":null},\"strides\":[" + integers(strides) +
         "],\"storage_offset\":{\"as_int\":0},\"layout\":7}";
}

// [["conv2d",0],…] and the descriptions that the numbers stand for -> "conv2d":{…},…
std::vector<std::string> computed_values(std::string_view text) {
  std::vector<std::string> metas, values;
  JsonReader metas_reader(list(text, "metas"), source);
  metas_reader.array([&] { metas.push_back(metas_reader.any()); });
  JsonReader reader(list(text, "values"), source);
  reader.array([&] {
    std::string value;
    reader.array([&] {
      if (value.empty()) {
        value = json_string(reader.string()) + ":";
      } else {
        value += metas.at(reader.count());
      }
    });
    values.push_back(std::move(value));
  });
  return values;
}

// Gives a tensor the number of classes, and multiplies its numbers of channels, out and in.
void widen(ShippedTensor& tensor, int64_t classes, double width) {
  constexpr int64_t colours = 3;  // in, of the first convolution
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t& size = tensor.shape[i];
    if (size == ShippedTensor::classes) {
      size = classes;
    } else if (i == 0 || (i == 1 && size != colours)) {
      size = std::llround(static_cast<double>(size) * width);
    }
  }
}

// A number as the files write it.
double number(const std::string& text, int64_t classes) {
  const double bound = 1 / std::sqrt(static_cast<double>(classes));
  if (text == "\"1/sqrt(classes)\"") return bound;
  if (text == "\"-1/sqrt(classes)\"") return -bound;
  return JsonReader(text, source).number();
}

}  // namespace

std::optional<std::string_view> shipped_architecture(std::string_view name) {
  for (const ShippedFile& file : shipped_files()) {
    if (file.name == name) return file.text;
  }
  return std::nullopt;
}

std::vector<ShippedTensor> shipped_tensors(std::string_view text) {
  std::vector<ShippedTensor> tensors;
  JsonReader reader(list(text, "tensors"), source);
  reader.array([&] {
    ShippedTensor& tensor = tensors.emplace_back();
    reader.array([&] {
      if (tensor.name.empty()) {
        tensor.name = reader.string();
        return;
      }
      reader.array([&] {
        const std::string size = reader.any();
        tensor.shape.push_back(size == "\"classes\"" ? ShippedTensor::classes : std::stoll(size));
      });
    });
  });
  return tensors;
}

std::vector<ShippedDraw> shipped_draws(std::string_view text, int64_t classes) {
  std::vector<ShippedDraw> draws;
  JsonReader reader(list(text, "initialize"), source);
  reader.array([&] {
    ShippedDraw& draw = draws.emplace_back();
    reader.array([&] {
      if (draw.operation.empty()) {
        draw.operation = reader.string();
      } else if (draw.tensor.empty()) {
        draw.tensor = reader.string();
      } else {
        draw.numbers.push_back(number(reader.any(), classes));
      }
    });
  });
  return draws;
}

std::string shipped_graph(std::string_view text, int64_t classes, double width) {
  std::vector<ShippedTensor> tensors = shipped_tensors(text);
  // The signature has the parameters first.
  std::stable_partition(tensors.begin(), tensors.end(),
                        [](const ShippedTensor& tensor) { return !is_buffer(tensor); });
  for (ShippedTensor& tensor : tensors) widen(tensor, classes, width);
  const std::vector<std::string> values = computed_values(text);
  // The pictures are the first value.
  const std::string image = values.at(0).substr(0, values[0].find(':'));
  const std::string image_input = "{\"as_tensor\":{\"name\":" + image + "}}";

  constexpr std::string_view key = "\"graph\":";
  std::string graph(text.substr(text.find(key) + key.size()));
  graph.erase(graph.rfind('}'));  // of the file's own object
  replace_all(graph, "\"$inputs\"", "[" + joined(tensors, input_of) + "," + image_input + "]");
  replace_all(graph, "\"$input_specs\"",
              "[" + joined(tensors, spec_of) + ",{\"user_input\":{\"arg\":" + image_input + "}}]");
  replace_all(graph, "\"$tensor_values\"",
              "{" + joined(tensors, value_of) + "," +
                  joined(values, [](const std::string& value) { return value; }) + "}");
  replace_all(graph, "\"classes\"", std::to_string(classes));
  return graph;
}

}  // namespace distill
