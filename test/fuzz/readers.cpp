// Gives a fuzzer's bytes to what reads files in native/core, as the file that they would be. A
// reader may answer or refuse with a coded error: everything else ends the process, and the fuzzer
// keeps the bytes. DISTILL_FUZZ names the reader, TMPDIR the folder for its file.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/constants_record.h"
#include "core/checkpoint/graph_json.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/json_object.h"
#include "core/checkpoint/safetensors.h"
#include "core/data/checksum.h"
#include "core/data/jpeg.h"
#include "core/data/sample_store.h"
#include "core/graph/program.h"
#include "core/training/answer_log.h"
#include "core/training/state.h"
#include "limits.h"

namespace distill::fuzz {
namespace {

const std::string name = "input";

// Does what may refuse its input.
template <typename Work>
void attempt(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (!error.code.starts_with("ERR_") || error.code == "ERR_INTERNAL") throw;
  }
}

// A file with these bytes, the same one for each input.
std::string file_of(std::string_view bytes) {
  static const auto path = (std::filesystem::temp_directory_path() / name).string();
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

void read_zip(std::string_view bytes) {
  const File file(file_of(bytes));
  const ZipArchive archive(file, name);
  for (const auto& record : archive.names_in("")) {
    attempt([&] { archive.read(file, record, bytes.size()); });
  }
}

void read_pickle(std::string_view bytes) {
  ByteReader reader(bytes, name);
  const Pickle pickle(reader, name);
  const auto trees = find_tensor_trees(pickle, name, [](const StorageId& id) {
    return Extent{0, id.bytes(), std::nullopt};
  });
  PickledTensors(pickle, name).no_state_dict();
  const bool has_tensors = std::any_of(trees.begin(), trees.end(),
                                       [](const auto& tree) { return !tree.tensors.empty(); });
  if (!has_tensors) return;
  const auto place = usual_place(trees);
  tensors_at(trees, place);
  passed_over(trees, place);
}

void read_safetensors_file(std::string_view bytes) {
  const File file(file_of(bytes));
  read_safetensors(file, name);
}

void read_json(std::string_view bytes) {
  attempt([&] {
    JsonReader json(bytes, name);
    json.skip();
    json.end();
  });
  // What is written again must be read as before.
  attempt([&] {
    const auto text = JsonObject::parse(bytes, name).text();
    if (JsonObject::parse(text, name).text() != text) std::abort();
  });
  attempt([&] { graph_tensors(bytes, name); });
  attempt([&] { with_shapes(bytes, {{"x", {2, 3}}, {"linear", {2, 5}}}, name); });
  attempt([&] { parse_constants(bytes, name, /*begin=*/0); });
}

void read_graph(std::string_view bytes) {
  attempt([&] { parse_exported_graph(without_node_metadata(bytes, name), name); });
  make_program(parse_exported_graph(bytes, name));
}

void read_checkpoint(std::string_view bytes) {
  auto checkpoint = Checkpoint::open(file_of(bytes));
  attempt([&] { checkpoint.verify(); });
  attempt([&] { checkpoint.graph(); });
  attempt([&] { checkpoint.record(metadata_record); });
  checkpoint.other_metadata();
  checkpoint.others();
  for (const auto* tensors : {&checkpoint.tensors(), &checkpoint.constants()}) {
    for (const auto& tensor : *tensors) {
      attempt([&] { checkpoint.read(tensor); });
    }
  }
}

// A store lies in whole pages, of which the fuzzer's bytes are the beginnings, so that a few of
// them reach every part. A checksum of zero stands for the right one.
void read_store(std::string_view bytes) {
  constexpr StoreShape shape{.image_size = 4,
                             .classes = 3,
                             .train_capacity = 3,
                             .val_capacity = 2,
                             .train_size = 5,
                             .views = 1,
                             .has_teacher = 1};
  constexpr size_t page = 4096, beginning = 512, checksum_place = 152;
  static const StorePlace place{.in_memory = true,
                                .folder = std::filesystem::temp_directory_path().string(),
                                .fingerprint = std::string(64, '0')};
  std::string file(shape.bytes(), '\0');
  for (size_t i = 0; i * beginning < bytes.size() && i * page < file.size(); ++i) {
    bytes.substr(i * beginning, beginning).copy(file.data() + i * page, beginning);
  }
  uint64_t checksum;
  std::memcpy(&checksum, file.data() + checksum_place, sizeof checksum);
  if (checksum == 0) {
    Checksum right;
    right.add(file);
    checksum = right.value();
    std::memcpy(file.data() + checksum_place, &checksum, sizeof checksum);
  }
  std::ofstream(place.folder + "/" + place.fingerprint + ".store", std::ios::binary) << file;
  const auto store = SampleStore::reopen(shape, place, /*stop=*/false);
  if (!store) return;
  for (const auto* split : {&store->train(), &store->val()}) {
    if (split->count > split->labels.numel()) std::abort();
  }
}

void read_training_state(std::string_view bytes) {
  const auto state = read_state(file_of(bytes));
  // What is written must be read again.
  const auto copy = (std::filesystem::temp_directory_path() / "copy").string();
  write_state(copy, state);
  if (read_state(copy).epoch != state.epoch) std::abort();
}

void read_answers(std::string_view bytes) {
  constexpr StoreShape shape{.classes = 2, .views = 1};
  AnswerLog log({.file = file_of(bytes), .fingerprint = "0"}, shape);
  constexpr int32_t sources[] = {0, 1};
  const auto logits = at::ones({2, 2});
  if (log.has(SplitName::train, sources, 2)) log.read(SplitName::train, sources, 2, logits);
  log.add(SplitName::train, sources, 2, logits);
  if (!log.has(SplitName::train, sources, 2)) std::abort();
}

#ifdef HAS_LIBJPEG_TURBO
void read_picture(std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  std::array<uint8_t, 3 * 16 * 16> pixels;
  JpegTask task{.steps = {.orientation = 1,
                          .resize = {},
                          .interpolation = Interpolation::bilinear,
                          .padding = {},
                          .crop = true,
                          .crop_rounding = CropRounding::even,
                          .image_size = 16},
                .max_pixels = 178'956'970,  // the default of `maxPixels`
                .pixels = pixels.data()};
  read_jpeg(data, bytes.size(), task);
  task.steps.orientation = 6;
  task.steps.resize = {16};
  try {
    read_jpeg(data, bytes.size(), task);
  } catch (const UnfitPicture&) {
    // Too long for its height to be resized.
  }
}
#endif

struct Reader {
  std::string_view name;
  void (*read)(std::string_view bytes);
};
constexpr Reader readers[] = {
    {"zip", read_zip},      {"pickle", read_pickle},        {"safetensors", read_safetensors_file},
    {"json", read_json},    {"graph", read_graph},          {"checkpoint", read_checkpoint},
    {"store", read_store},  {"state", read_training_state}, {"answers", read_answers},
#ifdef HAS_LIBJPEG_TURBO
    {"jpeg", read_picture},
#endif
};

const Reader& chosen_reader() {
  const char* chosen = std::getenv("DISTILL_FUZZ");
  for (const auto& reader : readers) {
    if (chosen && reader.name == chosen) return reader;
  }
  std::fputs("DISTILL_FUZZ names no reader\n", stderr);
  std::exit(2);
}

}  // namespace
}  // namespace distill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distill::fuzz;
  static const Reader& reader = chosen_reader();
  const Limits limits(size);
  attempt([&] { reader.read({reinterpret_cast<const char*>(data), size}); });
  return 0;
}
