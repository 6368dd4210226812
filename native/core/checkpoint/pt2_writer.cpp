#include "core/checkpoint/pt2_writer.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/exported_dtype.h"
#include "core/checkpoint/graph_json.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/text.h"
#include "core/checkpoint/zip_writer.h"
#include "core/error.h"

namespace distill {
namespace {

std::string sym_ints(at::IntArrayRef values) {
  std::string text;
  for (const auto value : values) {
    text += (text.empty() ? "" : ", ") + ("{\"as_int\": " + std::to_string(value) + "}");
  }
  return "[" + text + "]";
}

const char* word(bool value) {
  return value ? "true" : "false";
}

// PayloadMeta of torch/_export/serde/schema.py.
std::string describe(const at::Tensor& tensor, const std::string& record, bool is_parameter) {
  const auto dtype = exported_number(tensor.scalar_type());
  if (!dtype) {
    throw Error("ERR_WRITE", std::string("a tensor of dtype ") +
                                 at::toString(tensor.scalar_type()) +
                                 " cannot be written: convert it to float32 or int64");
  }
  constexpr int strided = 7;
  return "{\"path_name\": " + json_string(record) + ", \"is_param\": " + word(is_parameter) +
         ", \"use_pickle\": false, \"tensor_meta\": {\"dtype\": " + std::to_string(*dtype) +
         ", \"sizes\": " + sym_ints(tensor.sizes()) +
         ", \"requires_grad\": " + word(is_parameter && tensor.is_floating_point()) +
         ", \"device\": {\"type\": \"cpu\", \"index\": null}, \"strides\": " +
         sym_ints(tensor.strides()) +
         ", \"storage_offset\": {\"as_int\": 0}, \"layout\": " + std::to_string(strided) + "}}";
}

using Names = std::set<std::string, std::less<>>;

// Adds tensors as `folder` + `prefix` + their number, and their descriptions as `config`.
void add_tensors(ZipWriter& zip, const std::string& folder, const std::string& prefix,
                 const std::string& config, const StateDict& tensors, const Names& parameters) {
  std::string entries;
  size_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto values = tensor.detach().to(at::kCPU).contiguous();
    const auto record = prefix + std::to_string(count++);
    zip.add(folder + record, {static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
    entries += (entries.empty() ? "" : ", ") + json_string(name) + ": " +
               describe(values, record, parameters.contains(name));
  }
  zip.add(folder + config, "{\"config\": {" + entries + "}}");
}

}  // namespace

std::string serialize_pt2(const CheckpointContents& contents) {
  if (contents.graph.empty()) {
    throw Error("ERR_WRITE",
                "a .pt2 holds a network's graph, and none is known of this one: name a .pth or a "
                ".safetensors file");
  }
  const std::string source = "the graph";
  Names parameters;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [value, name, is_parameter] : graph_tensors(contents.graph, source)) {
    const auto* tensor = contents.state.find(name);
    if (!tensor) tensor = contents.constants.find(name);
    if (!tensor) {
      throw Error("ERR_WRITE", "the graph reads '" + printable(name) +
                                   "', which the network does not have: export the model again");
    }
    shapes[value] = tensor->sizes().vec();
    if (is_parameter) parameters.insert(name);
  }
  ZipWriter zip;
  add_tensors(zip, "data/weights/", "weight_", "model_weights_config.json", contents.state,
              parameters);
  add_tensors(zip, "data/constants/", "tensor_", "model_constants_config.json", contents.constants,
              /*parameters=*/{});
  zip.add("models/model.json", with_shapes(contents.graph, shapes, source));
  zip.add("data/sample_inputs/model.pt", "");  // none
  zip.add("archive_format", "pt2");
  zip.add("archive_version", "0");
  zip.add(".data/version", "6\n");
  zip.add("byteorder", "little");
  if (!contents.metadata.empty()) zip.add(metadata_record, contents.metadata);
  return zip.finish();
}

}  // namespace distill
