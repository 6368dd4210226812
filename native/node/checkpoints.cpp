#include "node/checkpoints.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <cstring>
#include <map>
#include <memory>
#include <system_error>

#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/writer.h"
#include "core/error.h"
#include "core/models/graph_summary.h"
#include "core/models/model_file.h"
#include "core/models/shipped_graph.h"
#include "core/temporary.h"
#include "core/training/learner.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

Napi::Array to_array(Napi::Env env, const std::vector<int64_t>& values) {
  auto array = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) array.Set(i, static_cast<double>(values[i]));
  return array;
}

Napi::Object to_object(Napi::Env env, const GraphSummary& graph) {
  auto operators = Napi::Object::New(env);
  for (const auto& [name, calls] : graph.operators) {
    operators.Set(name, static_cast<double>(calls));
  }
  auto object = Napi::Object::New(env);
  object.Set("module", text_or_null(env, graph.module));
  object.Set("torch", text_or_null(env, graph.torch_version));
  object.Set("operators", operators);
  object.Set("imageSize", env.Null());
  if (graph.image_size) object.Set("imageSize", static_cast<double>(*graph.image_size));
  object.Set("refusal", text_or_null(env, graph.refusal));
  return object;
}

Napi::Value inspect(Worker& worker, const Napi::CallbackInfo& info) {
  struct Contents {
    std::string format;
    std::optional<Recognized> recognized;
    std::optional<GraphSummary> graph;
    std::string problem;
    std::string key;
    WeightsPlace place;
    bool averaged;
    std::vector<std::string> passed_over;
    std::vector<TensorEntry> tensors;
    std::optional<std::string> metadata;
    std::map<std::string, std::string> other_metadata;
  };
  return worker.run<Contents>(
      info.Env(),
      [path = read_path(info[0]), averaged = read_bool(info[1], "averaged")](Channel&) {
        const ModelFile file = open_model(path, averaged);
        const Checkpoint& checkpoint = file.checkpoint;
        checkpoint.verify();
        const WeightsPlace& place = checkpoint.place();
        Contents contents{.format = checkpoint.format(),
                          .recognized = file.recognized,
                          .graph = {},
                          .problem = file.problem,
                          .key = checkpoint.trees()[place.tree].place,
                          .place = place,
                          .averaged = file.averaged,
                          .passed_over = checkpoint.others(),
                          .tensors = checkpoint.tensors(),
                          .metadata = checkpoint.record(metadata_record),
                          .other_metadata = checkpoint.other_metadata()};
        if (checkpoint.has_graph()) contents.graph = summarize_graph(checkpoint);
        return contents;
      },
      [](Napi::Env env, const Contents& contents) {
        auto tensors = Napi::Array::New(env, contents.tensors.size());
        for (uint32_t i = 0; i < contents.tensors.size(); ++i) {
          const TensorEntry& entry = contents.tensors[i];
          auto tensor = Napi::Object::New(env);
          tensor.Set("name", entry.name);
          tensor.Set("shape", to_array(env, entry.shape));
          // ATen's own names are C++'s (Float, Half); people know PyTorch's.
          tensor.Set("dtype", std::string(c10::getDtypeNames(entry.dtype).first));
          tensors.Set(i, tensor);
        }
        auto object = Napi::Object::New(env);
        object.Set("format", contents.format);
        object.Set("architecture", env.Null());
        object.Set("classes", env.Null());
        object.Set("width", env.Null());
        object.Set("graph", env.Null());
        if (const auto& graph = contents.graph) {
          object.Set("graph", to_object(env, *graph));
          if (graph->classes) {
            object.Set("architecture", name_of_module(graph->module));
            object.Set("classes", static_cast<double>(*graph->classes));
          }
        }
        if (const auto& recognized = contents.recognized) {
          object.Set("architecture", recognized->architecture->name);
          object.Set("classes", static_cast<double>(recognized->options.classes));
          if (recognized->architecture->has_width) object.Set("width", recognized->options.width);
        }
        object.Set("problem", text_or_null(env, contents.problem));
        auto weights = Napi::Object::New(env);
        weights.Set("key", contents.key);
        weights.Set("prefix", contents.place.prefix);
        weights.Set("head", text_or_null(env, contents.place.head));
        weights.Set("averaged", contents.averaged);
        object.Set("weights", weights);
        auto passed_over = Napi::Array::New(env);
        for (const auto& name : contents.passed_over) passed_over.Set(passed_over.Length(), name);
        object.Set("passedOver", passed_over);
        object.Set("tensors", tensors);
        object.Set("metadata", contents.metadata ? static_cast<Napi::Value>(
                                                       Napi::String::New(env, *contents.metadata))
                                                 : env.Null());
        auto others = Napi::Array::New(env);
        for (const auto& [name, text] : contents.other_metadata) {
          auto entry = Napi::Object::New(env);
          entry.Set("name", name);
          entry.Set("text", text);
          others.Set(others.Length(), entry);
        }
        object.Set("otherMetadata", others);
        return object;
      });
}

Napi::Value read_tensor(Worker& worker, const Napi::CallbackInfo& info) {
  return worker.run<at::Tensor>(
      info.Env(),
      [path = read_path(info[0]), name = read_string(info[1], "name")](Channel&) {
        const Checkpoint checkpoint = open_model(path, /*averaged=*/false).checkpoint;
        const TensorEntry* entry = checkpoint.find(name);
        if (!entry) entry = checkpoint.find_constant(name);
        if (!entry)
          throw Error("ERR_CHECKPOINT_MISMATCH", "'" + path + "' holds no '" + name + "'");
        return checkpoint.read(*entry).to(at::kDouble);
      },
      [](Napi::Env env, const at::Tensor& tensor) {
        auto data = Napi::Float64Array::New(env, tensor.numel());
        std::memcpy(data.Data(), tensor.const_data_ptr(), tensor.nbytes());
        auto object = Napi::Object::New(env);
        object.Set("shape", to_array(env, tensor.sizes().vec()));
        object.Set("data", data);
        return object;
      });
}

// The graph that a file brings along, or else that of the network which it holds.
std::string graph_of(const Checkpoint& checkpoint) {
  if (auto graph = checkpoint.graph()) return *std::move(graph);
  const auto recognized = recognize(checkpoint);
  const std::string name = recognized ? recognized->architecture->name : "";
  if (const auto shipped = shipped_architecture(name)) {
    return shipped_graph(*shipped, recognized->options.classes);
  }
  throw Error("ERR_MODEL_ARCHITECTURE",
              "'" + checkpoint.path() +
                  (recognized ? "' holds a " + name + ", whose graph this package does not have"
                              : "' holds no network that this package knows, and no graph") +
                  "; export it from PyTorch with torch.export, or as ONNX with torch.onnx.export");
}

Napi::Value read_graph(Worker& worker, const Napi::CallbackInfo& info) {
  return worker.run<std::string>(
      info.Env(),
      [path = read_path(info[0])](Channel&) {
        return graph_of(open_model(path, /*averaged=*/false).checkpoint);
      },
      [](Napi::Env env, const std::string& graph) { return Napi::String::New(env, graph); });
}

// The type in which a tensor crosses: float32, bytes (of booleans, too) or int64.
at::ScalarType crossing_type(at::ScalarType dtype) {
  if (at::isFloatingType(dtype)) return at::kFloat;
  return dtype == at::kByte || dtype == at::kBool ? at::kByte : at::kLong;
}

template <typename Array>
Napi::Value to_typed_array(Napi::Env env, const at::Tensor& tensor) {
  auto bytes = Napi::ArrayBuffer::New(env, tensor.nbytes());
  if (tensor.numel() > 0) std::memcpy(bytes.Data(), tensor.const_data_ptr(), tensor.nbytes());
  return Array::New(env, tensor.numel(), bytes, 0);
}

Napi::Value read_tensors(Worker& worker, const Napi::CallbackInfo& info) {
  std::vector<std::string> names;
  const auto listed = read_list(info[1], "names");
  for (uint32_t i = 0; i < listed.Length(); ++i)
    names.push_back(read_string(listed.Get(i), "name"));
  return worker.run<std::vector<at::Tensor>>(
      info.Env(),
      [path = read_path(info[0]), names = std::move(names),
       averaged = read_bool(info[2], "averaged")](Channel&) {
        const Checkpoint checkpoint = open_model(path, averaged).checkpoint;
        std::vector<at::Tensor> tensors;
        for (const std::string& name : names) {
          const TensorEntry* entry = checkpoint.find(name);
          if (!entry) entry = checkpoint.find_constant(name);
          if (!entry || at::isComplexType(entry->dtype)) {
            throw Error("ERR_CHECKPOINT_MISMATCH",
                        "'" + path + "' holds no '" + name + "' of real numbers");
          }
          tensors.push_back(read_finite(checkpoint, *entry, crossing_type(entry->dtype)));
        }
        return tensors;
      },
      [](Napi::Env env, const std::vector<at::Tensor>& tensors) {
        auto array = Napi::Array::New(env, tensors.size());
        for (uint32_t i = 0; i < tensors.size(); ++i) {
          const at::Tensor& tensor = tensors[i];
          auto object = Napi::Object::New(env);
          object.Set("shape", to_array(env, tensor.sizes().vec()));
          switch (tensor.scalar_type()) {
            case at::kByte:
              object.Set("data", to_typed_array<Napi::Uint8Array>(env, tensor));
              break;
            case at::kLong:
              object.Set("data", to_typed_array<Napi::BigInt64Array>(env, tensor));
              break;
            default:
              object.Set("data", to_typed_array<Napi::Float32Array>(env, tensor));
          }
          array.Set(i, object);
        }
        return array;
      });
}

Napi::Value write_tensors(Worker& worker, const Napi::CallbackInfo& info) {
  const Fields options(info[0], "the call");
  const auto listed = read_list(options.get("tensors"), "tensors");
  StateDict tensors;
  std::vector<Napi::Object> kept;
  for (uint32_t i = 0; i < listed.Length(); ++i) {
    const Fields tensor(listed.Get(i), "a tensor");
    const auto data = read_array<Napi::TypedArray>(tensor, "data");
    const auto length = static_cast<int64_t>(data.ElementLength());
    const auto sizes = read_list(tensor.get("shape"), "shape");
    std::vector<int64_t> shape;
    int64_t numel = 1;
    for (uint32_t k = 0; k < sizes.Length(); ++k) {
      shape.push_back(read_int(sizes.Get(k), "size", 0, max_safe_integer));
      if (__builtin_mul_overflow(numel, shape.back(), &numel)) numel = -1;
    }
    if (length != numel) {
      throw out_of_range(info.Env(), "data is not as long as the tensor's shape says");
    }
    auto* bytes = static_cast<char*>(data.ArrayBuffer().Data()) + data.ByteOffset();
    const bool is_bytes = data.TypedArrayType() == napi_uint8_array;
    tensors.insert(read_string(tensor, "name"),
                   at::from_blob(bytes, shape, is_bytes ? at::kByte : at::kFloat));
    tensor.refuse_others();
    kept.push_back(data);
  }
  const auto work = [path = read_path(options, "path"), metadata = read_string(options, "metadata"),
                     tensors = std::move(tensors)](Channel&) {
    distill::write_tensors(path, tensors, metadata);
    return true;
  };
  options.refuse_others();
  return worker.run<bool>(
      info.Env(), work, [](Napi::Env env, const bool&) { return env.Undefined(); }, kept);
}

Napi::Value create_model(Worker& worker, const Napi::CallbackInfo& info) {
  const Fields options(info[0], "the call");
  const auto work = [path = read_path(options, "path"),
                     architecture = read_string(options, "architecture"),
                     classes = read_int(options, "classes", 1, 1'000'000),
                     seed = read_int(options, "seed", 0)](Channel&) {
    const c10::NoGradGuard no_grad;
    const auto network = find_architecture(architecture).create({classes});
    network->initialize(at::detail::createCPUGenerator(static_cast<uint64_t>(seed)));
    const Format format = format_of(path);
    write_checkpoint(path, format, contents_of(*network, format));
    return true;
  };
  options.refuse_others();
  return worker.run<bool>(info.Env(), work,
                          [](Napi::Env env, const bool&) { return env.Undefined(); });
}

Napi::Value check_student(Worker& worker, const Napi::CallbackInfo& info) {
  struct Checked {
    std::string architecture;
    int64_t parameters, smallest_batch;
    std::optional<int64_t> replaced_classes;
  };
  const Fields options(info[0], "the call");
  const auto work = [config = read_distill_config(options),
                     classes = read_int(options, "classes", 1, 1'000'000),
                     size = read_side(options, "imageSize")](Channel&) {
    const c10::NoGradGuard no_grad;
    const NewStudent made =
        make_student(config, classes, at::detail::createCPUGenerator(/*seed=*/0));
    made.network->prepare(size);
    int64_t parameters = 0;
    for (const at::Tensor& parameter : made.network->parameters()) parameters += parameter.numel();
    return Checked{made.architecture, parameters, made.network->smallest_batch(),
                   made.replaced_classes};
  };
  options.refuse_others();
  return worker.run<Checked>(info.Env(), work, [](Napi::Env env, const Checked& checked) {
    const auto number = [env](int64_t value) {
      return Napi::Number::New(env, static_cast<double>(value));
    };
    auto object = Napi::Object::New(env);
    object.Set("architecture", checked.architecture);
    object.Set("parameters", number(checked.parameters));
    object.Set("smallestBatch", number(checked.smallest_batch));
    object.Set("replacedClasses", env.Null());
    if (const auto& replaced = checked.replaced_classes) {
      object.Set("replacedClasses", number(*replaced));
    }
    return object;
  });
}

Napi::Value list_architectures(Worker& worker, const Napi::CallbackInfo& info) {
  return worker.run<Nothing>(
      info.Env(), [](Channel&) { return Nothing{}; },
      [](Napi::Env env, const Nothing&) {
        auto list = Napi::Array::New(env);
        for (const Architecture& architecture : architectures()) {
          auto object = Napi::Object::New(env);
          object.Set("name", architecture.name);
          auto roles = Napi::Array::New(env);
          for (const auto& [role, role_name] :
               {std::pair(Role::teacher, "teacher"), std::pair(Role::student, "student")}) {
            if (architecture.has(role)) roles.Set(roles.Length(), role_name);
          }
          object.Set("roles", roles);
          list.Set(list.Length(), object);
        }
        return list;
      });
}

Napi::Value convert(Worker& worker, const Napi::CallbackInfo& info) {
  const Fields options(info[0], "the call");
  const auto work = [from = read_path(options, "from"), to = read_path(options, "to"),
                     format = read_named(options, "format", formats),
                     averaged = read_bool(options, "averaged")](Channel&) {
    const ModelFile file = open_model(from, averaged);
    if (!file.problem.empty()) throw Error("ERR_MODEL_ARCHITECTURE", file.problem);
    const Checkpoint& checkpoint = file.checkpoint;
    CheckpointContents contents = checkpoint.has_graph()
                                      ? read_contents(checkpoint)
                                      : contents_of(*load_network(checkpoint).network, format);
    contents.metadata = checkpoint.record(metadata_record).value_or("");
    write_checkpoint(to, format, contents);
    return true;
  };
  options.refuse_others();
  return worker.run<bool>(info.Env(), work,
                          [](Napi::Env env, const bool&) { return env.Undefined(); });
}

Napi::Value write_file(Worker& worker, const Napi::CallbackInfo& info) {
  auto bytes = read_array<Napi::Uint8Array>(info[1], "bytes");
  const std::string_view view(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  return worker.run<bool>(
      info.Env(),
      [path = read_path(info[0]), view](Channel&) {
        write_file_atomically(path, view);
        return true;
      },
      [](Napi::Env env, const bool&) { return env.Undefined(); }, {bytes});
}

Napi::Value check_writable(Worker& worker, const Napi::CallbackInfo& info) {
  return worker.run<bool>(
      info.Env(),
      [path = read_path(info[0])](Channel&) {
        distill::check_writable(path);
        return true;
      },
      [](Napi::Env env, const bool&) { return env.Undefined(); });
}

Napi::Value make_temporary_folder(Worker& worker, const Napi::CallbackInfo& info) {
  using Folder = std::pair<std::string, int>;
  return worker.run<Folder>(
      info.Env(),
      [parent = read_path(info[0])](Channel&) {
        remove_leftovers(parent);
        try {
          return distill::make_temporary_folder(parent);
        } catch (const std::system_error& error) {
          throw Error("ERR_WRITE", "no temporary folder can be made in '" + parent +
                                       "': " + error.code().message() + "; name another as TMPDIR");
        }
      },
      [](Napi::Env env, const Folder& folder) {
        auto object = Napi::Object::New(env);
        object.Set("path", folder.first);
        object.Set("lock", folder.second);
        return object;
      });
}

Napi::Value lock_folder(Worker& worker, const Napi::CallbackInfo& info) {
  using Lock = std::optional<int>;
  return worker.run<Lock>(
      info.Env(),
      [folder = read_path(info[0])](Channel&) {
        try {
          return distill::lock_folder(folder);
        } catch (const std::system_error& error) {
          throw Error("ERR_WRITE", "'" + folder + "' cannot be opened: " + error.code().message() +
                                       "; name a folder that may be read and written");
        }
      },
      [](Napi::Env env, const Lock& lock) -> Napi::Value {
        return lock ? static_cast<Napi::Value>(Napi::Number::New(env, *lock)) : env.Null();
      });
}

}  // namespace

void register_checkpoints(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports,
                   {{"inspect", inspect},
                    {"readGraph", read_graph},
                    {"readTensor", read_tensor},
                    {"readTensors", read_tensors},
                    {"writeTensors", write_tensors},
                    {"architectures", list_architectures},
                    {"createModel", create_model},
                    {"checkStudent", check_student},
                    {"convert", convert},
                    {"writeFile", write_file},
                    {"checkWritable", check_writable},
                    {"makeTemporaryFolder", make_temporary_folder},
                    {"lockFolder", lock_folder}});
}

}  // namespace distill::node
