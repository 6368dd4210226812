#include "core/checkpoint/pt2_archive.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/pt2_tensors.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

constexpr const char* models_folder = "models/";
constexpr const char* first_graph_record = "serialized_exported_program.json";
constexpr const char* format_record = "archive_format";
constexpr uint64_t largest_text = uint64_t{1} << 10;
constexpr int64_t known_schema = 8;

[[noreturn]] void throw_format(const std::string& path, const std::string& what_and_remedy) {
  throw Error("ERR_CHECKPOINT_FORMAT", "'" + path + "' " + what_and_remedy);
}

// Tensors may share storages, but a small file cannot ask for much memory by sharing one often.
void refuse_duplicates(const Pt2Contents& contents, const File& file, const std::string& path) {
  const auto most = std::max<uint64_t>(4 * file.size(), uint64_t{64} << 20);
  std::set<std::string_view> names;
  uint64_t total = 0;
  for (const auto* tensors : {&contents.tensors, &contents.constants}) {
    for (const auto& tensor : *tensors) {
      if (!names.insert(tensor.name).second) {
        throw_damaged(path, "it names '" + printable(tensor.name) + "' twice");
      }
      total += tensor.numel() * at::elementSize(tensor.dtype);
      if (total > most) throw_damaged(path, "its tensors are many times larger than the file");
    }
  }
}

// The major number changes where an older reader would misread a graph.
void expect_known_schema(const std::string& graph, const std::string& path) {
  JsonReader json(graph, path);
  std::optional<int64_t> major;
  std::string writer = "an unknown version of PyTorch";
  json.object([&](const std::string& key) {
    if (key == "schema_version") {
      json.object([&](const std::string& part) {
        const auto number = json.count();
        if (part == "major") major = number;
      });
    } else if (key == "torch_version") {
      writer = "PyTorch " + printable(json.string());
    } else {
      json.skip();
    }
  });
  json.end();
  if (!major) throw_damaged(path, "its graph lacks a schema_version");
  if (*major != known_schema) {
    throw_format(path, "was written by " + writer + " with version " + std::to_string(*major) +
                           " of the schema of graphs; version " + std::to_string(known_schema) +
                           " is read, which PyTorch 2.6 to 2.14 write: export the model again and "
                           "torch.export.save it with one of these");
  }
}

void refuse_compiled(const ZipArchive& archive, const std::string& path) {
  constexpr std::pair<const char*, const char*> kinds[] = {
      {"data/aotinductor/", "code that AOTInductor compiled"},
      {"data/executorch/", "a program of ExecuTorch"},
  };
  for (const auto& [folder, what] : kinds) {
    if (archive.names_in(folder).empty()) continue;
    throw_format(path, std::string("holds ") + what +
                           ", which is not run here: write the exported program itself, with "
                           "torch.export.save(torch.export.export(model, inputs), 'model.pt2')");
  }
}

void expect_known_archive(const File& file, const ZipArchive& archive, const std::string& path) {
  const auto text = [&](const char* record) { return archive.read(file, record, largest_text); };
  if (const auto format = text(format_record); format != "pt2") {
    throw_format(path, "is an archive of the format '" + printable(format) +
                           "', not 'pt2': write it with torch.export.save");
  }
  if (const auto version = text("archive_version"); version != "0") {
    throw_format(path, "is a PT2 archive of version '" + printable(version) +
                           "'; version 0 is read, which PyTorch 2.8 to 2.14 write: "
                           "torch.export.save the model with one of these");
  }
  if (archive.contains("byteorder") && text("byteorder") != "little") {
    throw_format(path,
                 "was written by a big-endian machine: torch.export.load it on a little-endian "
                 "machine and torch.export.save it again");
  }
}

// The name under which the archive's only exported program was saved, "model" by default.
std::string find_model(const ZipArchive& archive, const std::string& path) {
  std::vector<std::string> models;
  for (auto& name : archive.names_in(models_folder)) {
    if (name.ends_with(".json")) models.push_back(name.substr(0, name.size() - 5));
  }
  if (models.size() == 1) return models[0];
  if (models.empty()) {
    throw_format(path,
                 "holds no exported program: write it with "
                 "torch.export.save(torch.export.export(model, inputs), 'model.pt2')");
  }
  std::vector<std::string> shown;
  for (const auto& model : models) shown.push_back("'" + printable(model) + "'");
  throw_format(path, "holds " + std::to_string(models.size()) + " exported programs, " +
                         first_ten(shown) +
                         ": save the one that is wanted with torch.export.save(program, "
                         "'model.pt2')");
}

}  // namespace

bool is_pt2(const ZipArchive& archive) {
  return archive.contains(format_record) || archive.contains(first_graph_record) ||
         !archive.names_in(models_folder).empty();
}

Pt2Contents read_pt2(const File& file, const ZipArchive& archive, const std::string& path) {
  refuse_compiled(archive, path);
  Pt2Contents contents;
  if (archive.contains(first_graph_record)) {
    contents.graph_record = first_graph_record;
    contents.tensors = read_pickled(file, archive, path, "serialized_state_dict.pt");
    contents.constants = read_pickled(file, archive, path, "serialized_constants.pt");
  } else {
    expect_known_archive(file, archive, path);
    const auto model = find_model(archive, path);
    contents.graph_record = models_folder + model + ".json";
    const auto read = [&](const std::string& folder, const std::string& kind) {
      const auto pickled = model + ".pt";
      return archive.contains(folder + pickled)
                 ? read_pickled(file, archive, path, folder + pickled)
                 : read_described(file, archive, path, folder, model + kind);
    };
    contents.tensors = read("data/weights/", "_weights_config.json");
    contents.constants = read("data/constants/", "_constants_config.json");
  }
  expect_known_schema(archive.read(file, contents.graph_record, largest_graph), path);
  refuse_duplicates(contents, file, path);
  return contents;
}

}  // namespace distill
