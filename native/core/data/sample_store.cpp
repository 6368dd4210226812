#include "core/data/sample_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/error.h"
#include "core/temporary.h"

namespace distill {
namespace {

constexpr int64_t alignment = 4096;
constexpr char magic[8] = {'D', 'I', 'S', 'T', 'I', 'L', 'L', '2'};
constexpr uint32_t byte_order = 0x01020304;

int64_t aligned(int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

struct SplitShape {
  int64_t capacity, views, side;
  int64_t answer;  // values that the teacher says of a picture
};

// Where the parts of a split begin.
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

std::shared_ptr<void> map(int64_t bytes, int protection, int flags, int descriptor) {
  void* address = ::mmap(nullptr, bytes, protection, flags, descriptor, 0);
  if (address == MAP_FAILED) return nullptr;
  return {address, [bytes](void* mapped) { ::munmap(mapped, bytes); }};
}

std::string store_path(const std::string& folder, const std::string& fingerprint) {
  return folder + "/" + fingerprint + ".store";
}

}  // namespace

int64_t StoreShape::bytes() const {
  return Layout(*this).val.end;
}

// The first page of a store: what it holds, and whether all of it is there.
struct SampleStore::Header {
  char magic[8];
  uint32_t byte_order;
  uint32_t sealed;
  StoreShape shape;
  int64_t train_count, val_count;
  char fingerprint[64];
};

// The file of a store that is being filled; removed unless it is named.
class SampleStore::File {
 public:
  File(const std::string& folder, const std::string& fingerprint, int64_t bytes)
      : folder_(folder), fingerprint_(fingerprint) {
    remove_leftovers(folder);
    attempt("no file can be made there", [&] { file_.emplace(folder, /*mode=*/0600); });
    attempt("no room for its " + std::to_string(bytes >> 20) + " MiB",
            [&] { file_->allocate(bytes); });
  }

  int descriptor() const { return file_->descriptor(); }
  const std::string& fingerprint() const { return fingerprint_; }

  void name() {
    attempt("the finished store cannot be written",
            [&] { file_->rename(store_path(folder_, fingerprint_)); });
  }

 private:
  template <typename Work>
  void attempt(const std::string& failure, const Work& work) const {
    try {
      work();
    } catch (const std::system_error& error) {
      fail(folder_, failure, error.code().value());
    }
  }

  std::string folder_, fingerprint_;
  std::optional<TemporaryFile> file_;
};

SampleStore::SampleStore(const StoreShape& shape, std::shared_ptr<void> memory,
                         std::unique_ptr<File> file)
    : shape_(shape), memory_(std::move(memory)), file_(std::move(file)) {
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

SampleStore::Header& SampleStore::header() const {
  return *static_cast<Header*>(memory_.get());
}

SampleStore SampleStore::in_memory(const StoreShape& shape) {
  auto memory = map(shape.bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (!memory) {
    throw Error("ERR_OUT_OF_MEMORY", "no memory for the " + std::to_string(shape.bytes() >> 20) +
                                         " MiB of the prepared pictures; lower cacheMemory, and "
                                         "they are kept in a file");
  }
  return {shape, std::move(memory), nullptr};
}

SampleStore SampleStore::in_kept_file(const StoreShape& shape, const std::string& folder,
                                      const std::string& fingerprint) {
  auto file = std::make_unique<File>(folder, fingerprint, shape.bytes());
  auto memory = map(shape.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file->descriptor());
  if (!memory) fail(folder, "the file cannot be mapped", errno);
  return {shape, std::move(memory), std::move(file)};
}

SampleStore SampleStore::in_temporary_file(const StoreShape& shape, const std::string& folder) {
  SampleStore store = in_kept_file(shape, folder, "temporary");
  store.file_.reset();
  return store;
}

std::optional<SampleStore> SampleStore::reopen(const StoreShape& shape, const std::string& folder,
                                               const std::string& fingerprint) {
  const int descriptor = ::open(store_path(folder, fingerprint).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  struct stat status = {};
  const bool fits = ::fstat(descriptor, &status) == 0 && status.st_size == shape.bytes();
  auto memory = fits ? map(shape.bytes(), PROT_READ, MAP_SHARED, descriptor) : nullptr;
  ::close(descriptor);
  if (!memory) return std::nullopt;

  SampleStore store(shape, std::move(memory), nullptr);
  const Header& header = store.header();
  const auto within = [](const at::Tensor& values, int64_t count, int64_t limit) {
    if (count == 0) return true;
    const auto [low, high] = values.narrow(0, 0, count).aminmax();
    return low.item<int64_t>() >= 0 && high.item<int64_t>() < limit;
  };
  const auto sound = [&](const Split& split, int64_t count, int64_t capacity) {
    return count >= 0 && count <= capacity && within(split.labels, count, shape.classes) &&
           within(split.sources, count, capacity);
  };
  if (std::memcmp(header.magic, magic, sizeof magic) != 0 || header.byte_order != byte_order ||
      header.sealed != 1 || !(header.shape == shape) ||
      fingerprint.compare(0, std::string::npos, header.fingerprint, sizeof header.fingerprint) ||
      !sound(store.train_, header.train_count, shape.train_capacity) ||
      !sound(store.val_, header.val_count, shape.val_capacity)) {
    return std::nullopt;
  }
  store.train_.count = header.train_count;
  store.val_.count = header.val_count;
  return store;
}

at::Tensor SampleStore::append(Split& split, const int32_t* labels, const int32_t* sources,
                               int64_t count) {
  if (count > split.labels.size(0) - split.count) {
    throw Error("ERR_INTERNAL", "more pictures than the store was made for");
  }
  const at::Tensor rows = split.pixels.narrow(0, split.count * split.views, count * split.views);
  int64_t* label = split.labels.data_ptr<int64_t>() + split.count;
  int64_t* source = split.sources.data_ptr<int64_t>() + split.count;
  for (int64_t i = 0; i < count; ++i) {
    label[i] = labels[i];
    source[i] = sources[i];
  }
  split.count += count;
  return rows;
}

void SampleStore::seal() {
  if (!file_) return;
  Header& header = this->header();
  header = {};
  std::memcpy(header.magic, magic, sizeof magic);
  header.byte_order = byte_order;
  header.shape = shape_;
  header.train_count = train_.count;
  header.val_count = val_.count;
  std::memcpy(header.fingerprint, file_->fingerprint().data(),
              std::min(file_->fingerprint().size(), sizeof header.fingerprint));
  header.sealed = 1;
  file_->name();
  file_.reset();
}

}  // namespace distill
