#include "core/data/sample_store.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/data/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary.h"

namespace distill {
namespace {

constexpr int64_t alignment = 4096;
constexpr char magic[8] = {'D', 'I', 'S', 'T', 'I', 'L', 'L', 'S'};
constexpr uint32_t byte_order = 0x01020304;
constexpr uint32_t version = 3;  // raised when the layout changes
// Bytes that are copied at once: few enough to be in the processor's cache for their checksum.
constexpr int64_t chunk = 1 << 20;

int64_t aligned(int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

struct SplitShape {
  int64_t capacity, views, side;
  int64_t answer;  // logits that the teacher gives a picture
};

// The offsets of the parts of a split.
struct SplitLayout {
  SplitLayout(int64_t begin, const SplitShape& shape)
      : pixels(begin),
        labels(pixels + aligned(shape.capacity * shape.views * shape.side * shape.side * 3)),
        sources(labels + aligned(shape.capacity * 8)),
        teacher_logits(sources + aligned(shape.capacity * 8)),
        end(teacher_logits + aligned(shape.capacity * shape.views * shape.answer * 4)) {}
  int64_t pixels, labels, sources, teacher_logits, end;
};

struct Layout {
  explicit Layout(const StoreShape& shape)
      : of_train{shape.train_capacity, shape.views, shape.train_size,
                 shape.has_teacher ? shape.classes : 0},
        of_val{shape.val_capacity, /*views=*/1, shape.image_size, of_train.answer},
        train(alignment, of_train),
        val(train.end, of_val) {}
  SplitShape of_train, of_val;
  SplitLayout train, val;
};

[[noreturn]] void fail(const std::string& folder, const std::string& what, int error) {
  throw Error("ERR_CACHE", "the prepared pictures cannot be kept in '" + folder + "': " + what +
                               " (" + std::strerror(error) +
                               "); name a folder with room as cacheDir, or raise cacheMemory");
}

// Does what may fail for the system's reasons.
template <typename Work>
void attempt(const std::string& folder, const std::string& failure, const Work& work) {
  try {
    work();
  } catch (const std::system_error& error) {
    fail(folder, failure, error.code().value());
  }
}

std::shared_ptr<void> map(int64_t bytes, int flags, int descriptor) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, descriptor, 0);
  if (address == MAP_FAILED) return nullptr;
  return {address, [bytes](void* mapped) { ::munmap(mapped, bytes); }};
}

// A file of ours with room for that much.
std::unique_ptr<TemporaryFile> make_file(const std::string& folder, int64_t bytes, bool has_name) {
  std::unique_ptr<TemporaryFile> file;
  attempt(folder, "no file can be made there",
          [&] { file = std::make_unique<TemporaryFile>(folder, /*mode=*/0600); });
  if (!has_name) file->remove_name();
  attempt(folder, "no room for its " + std::to_string(bytes >> 20) + " MiB",
          [&] { file->allocate(bytes); });
  return file;
}

// Why somebody else may have made or changed a file; nothing where nobody can have.
const char* distrust(const struct stat& status) {
  if (status.st_uid != ::geteuid() && status.st_uid != 0) return "it is another user's";
  if (status.st_mode & (S_IWGRP | S_IWOTH)) return "other users may write to it";
  if (status.st_nlink > 1) return "it has another name, a hard link";
  return nullptr;
}

// The least label in a split: training pictures may have none.
int64_t least_label(SplitName split) {
  return split == SplitName::train ? no_label : 0;
}

std::string store_path(const StorePlace& place) {
  return place.folder + "/" + place.fingerprint + ".store";
}

}  // namespace

int64_t StoreShape::bytes() const {
  return Layout(*this).val.end;
}

// The first page of a kept store.
struct SampleStore::Header {
  char magic[8];
  uint32_t byte_order;
  uint32_t version;
  StoreShape shape;
  int64_t train_count, val_count;
  char fingerprint[64];
  uint64_t checksum;  // of the whole file, with 0 in this place

  bool fits(const StoreShape& wanted, const std::string& stands_for) const {
    return std::memcmp(magic, distill::magic, sizeof magic) == 0 &&
           byte_order == distill::byte_order && version == distill::version && shape == wanted &&
           stands_for == std::string_view(fingerprint, sizeof fingerprint);
  }
};

SampleStore::SampleStore(const StoreShape& shape, std::shared_ptr<void> memory)
    : shape_(shape), memory_(std::move(memory)) {
  const auto look = [this](int64_t offset, at::IntArrayRef sizes, at::ScalarType dtype) {
    return at::from_blob(
        static_cast<char*>(memory_.get()) + offset, sizes, [memory = memory_](void*) {}, dtype);
  };
  const auto split = [&](const SplitLayout& layout, const SplitShape& of) {
    const int64_t rows = of.capacity * of.views;
    return Split{look(layout.pixels, {rows, of.side, of.side, 3}, at::kByte),
                 look(layout.labels, {of.capacity}, at::kLong),
                 look(layout.sources, {of.capacity}, at::kLong),
                 look(layout.teacher_logits, {rows, of.answer}, at::kFloat), of.views};
  };
  const Layout layout(shape_);
  train_ = split(layout.train, layout.of_train);
  val_ = split(layout.val, layout.of_val);
}

SampleStore::SampleStore(SampleStore&&) = default;
SampleStore& SampleStore::operator=(SampleStore&&) = default;
SampleStore::~SampleStore() = default;

SampleStore SampleStore::make(const StoreShape& shape, const StorePlace& place) {
  if (place.in_memory) {
    auto memory = map(shape.bytes(), MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (memory) return {shape, std::move(memory)};
    throw Error("ERR_OUT_OF_MEMORY", "no memory for the " + std::to_string(shape.bytes() >> 20) +
                                         " MiB of the prepared pictures; lower cacheMemory, and "
                                         "they are kept in a file");
  }
  const auto file = make_file(place.folder, shape.bytes(), /*has_name=*/false);
  auto memory = map(shape.bytes(), MAP_SHARED, file->descriptor());
  if (!memory) fail(place.folder, "the file cannot be mapped", errno);
  return {shape, std::move(memory)};
}

SampleStore SampleStore::create(const StoreShape& shape, const StorePlace& place) {
  remove_leftovers(place.folder);
  SampleStore store = make(shape, place);
  if (place.fingerprint.empty()) return store;
  store.place_ = place;
  store.kept_ = make_file(place.folder, shape.bytes(), /*has_name=*/true);
  struct stat status = {};
  ::fstat(store.kept_->descriptor(), &status);
  if (const char* reason = distrust(status)) {
    throw Error("ERR_CACHE", std::string("a store in '") + place.folder +
                                 "' could not be trusted by a later run: " + reason +
                                 " on that file system; name another folder as cacheDir");
  }
  return store;
}

std::optional<SampleStore> SampleStore::reopen(const StoreShape& shape, const StorePlace& place,
                                               const std::atomic<bool>& stop) {
  remove_leftovers(place.folder);
  const std::string path = store_path(place);
  const auto refuse = [&path](const std::string& reason) {
    throw Error("ERR_CACHE", "'" + path + "' is not a store that this user has prepared: " +
                                 reason + "; remove it, or name another folder as cacheDir");
  };
  try {
    struct stat link = {};
    if (::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) refuse("it is a link");
    const File file(path, O_RDONLY | O_NOFOLLOW);
    if (const char* reason = distrust(file.status())) refuse(reason);
    if (file.status().st_size != shape.bytes()) return std::nullopt;
    Header header;
    if (!file.read(&header, sizeof header, 0) || !header.fits(shape, place.fingerprint)) {
      return std::nullopt;
    }
    SampleStore store = make(shape, place);
    if (!store.load(file, stop)) return std::nullopt;
    return store;
  } catch (const FileError& error) {
    if (error.kind != FileError::Kind::missing) refuse(error.what());
    return std::nullopt;
  }
}

// Nobody else reaches the copy: what happens to the file from now on does not matter.
bool SampleStore::load(const File& file, const std::atomic<bool>& stop) {
  auto* memory = static_cast<char*>(memory_.get());
  Header& header = *static_cast<Header*>(memory_.get());
  uint64_t expected = 0;
  Checksum checksum;
  for (int64_t at = 0; at < shape_.bytes(); at += chunk) {
    const int64_t count = std::min(chunk, shape_.bytes() - at);
    if (stop || !file.read(memory + at, count, at)) return false;
    if (at == 0) expected = std::exchange(header.checksum, 0);
    checksum.add({memory + at, static_cast<size_t>(count)});
  }
  const auto within = [](const at::Tensor& values, int64_t count, int64_t least, int64_t limit) {
    if (count == 0) return true;
    const auto [low, high] = values.narrow(0, 0, count).aminmax();
    return low.item<int64_t>() >= least && high.item<int64_t>() < limit;
  };
  const auto sound = [&](SplitName name, int64_t count, int64_t capacity) {
    const Split& split = this->split(name);
    return count >= 0 && count <= capacity &&
           within(split.labels, count, least_label(name), shape_.classes) &&
           within(split.sources, count, 0, capacity);
  };
  train_.count = header.train_count;
  val_.count = header.val_count;
  return checksum.value() == expected &&
         sound(SplitName::train, train_.count, shape_.train_capacity) &&
         sound(SplitName::val, val_.count, shape_.val_capacity);
}

at::Tensor SampleStore::append(const ImageBatch& batch) {
  Split& split = this->split(batch.split);
  const int64_t count = batch.pixels.size(0);
  if (count > split.labels.size(0) - split.count) {
    throw Error("ERR_INTERNAL", "more pictures than the store was made for");
  }
  for (int64_t i = 0; i < count; ++i) {
    if (batch.labels[i] >= least_label(batch.split) && batch.labels[i] < shape_.classes) continue;
    throw Error("ERR_INTERNAL", "the label " + std::to_string(batch.labels[i]) +
                                    " is none of the " + std::to_string(shape_.classes) +
                                    " classes");
  }
  const at::Tensor rows = split.pixels.narrow(0, split.count * split.views, count * split.views);
  int64_t* label = split.labels.data_ptr<int64_t>() + split.count;
  int64_t* source = split.sources.data_ptr<int64_t>() + split.count;
  for (int64_t i = 0; i < count; ++i) {
    label[i] = batch.labels[i];
    source[i] = batch.sources[i];
  }
  split.count += count;
  return rows;
}

void SampleStore::seal() {
  if (!kept_) return;
  const auto* memory = static_cast<const char*>(memory_.get());
  Header& header = *static_cast<Header*>(memory_.get());
  header = {.byte_order = byte_order,
            .version = version,
            .shape = shape_,
            .train_count = train_.count,
            .val_count = val_.count};
  std::memcpy(header.magic, magic, sizeof magic);
  place_.fingerprint.copy(header.fingerprint, sizeof header.fingerprint);
  attempt(place_.folder, "the finished store cannot be written", [&] {
    Checksum checksum;
    for (int64_t at = 0; at < shape_.bytes(); at += chunk) {
      const std::string_view bytes(memory + at, std::min(chunk, shape_.bytes() - at));
      checksum.add(bytes);
      kept_->write(bytes, at);
    }
    header.checksum = checksum.value();
    kept_->write({memory, sizeof header}, 0);
    kept_->rename(store_path(place_));
  });
  kept_.reset();
}

}  // namespace distill
