#include "core/training/answer_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/checkpoint/zip_archive.h"
#include "core/error.h"

namespace distill {
namespace {

struct RecordHead {
  int32_t split, source;
  uint32_t crc;  // of these two and the logits
};

RecordHead head_of(SplitName split, int32_t source, std::string_view logits) {
  const int32_t place[] = {static_cast<int32_t>(split), source};
  const std::string_view bytes(reinterpret_cast<const char*>(place), sizeof place);
  return {place[0], place[1], crc32(logits, crc32(bytes))};
}

}  // namespace

AnswerLog::AnswerLog(const AnswerLogPlace& place, const StoreShape& shape)
    : path_(place.file), views_(shape.views), classes_(shape.classes) {
  const std::string line = "node-distill answers 1 " + place.fingerprint + " " +
                           std::to_string(views_) + " " + std::to_string(classes_) + "\n";
  try {
    open(line);
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
}

void AnswerLog::open(const std::string& line) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  struct stat status = {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail("it is no file");
  std::string found(line.size(), '\0');
  if (read_at(found.data(), found.size(), 0) && found == line) {
    end_ = static_cast<int64_t>(line.size());
    find_records(status.st_size);
  }
  if (::ftruncate(descriptor_, end_) != 0) fail(std::strerror(errno));
  if (end_ == 0) write(line);
}

// What is written in part before it fails is cut off when the file is opened again.
void AnswerLog::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::pwrite(descriptor_, bytes.data(), bytes.size(), end_);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
    end_ += written;
  }
}

AnswerLog::~AnswerLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

size_t AnswerLog::record_size() const {
  return sizeof(RecordHead) + static_cast<size_t>(views_ * classes_) * sizeof(float);
}

bool AnswerLog::read_at(void* to, size_t size, int64_t at) const {
  return ::pread(descriptor_, to, size, at) == static_cast<ssize_t>(size);
}

// Takes the records up to the first one that is cut short or damaged.
void AnswerLog::find_records(int64_t end) {
  std::string record(record_size(), '\0');
  while (end_ + static_cast<int64_t>(record.size()) <= end &&
         read_at(record.data(), record.size(), end_)) {
    RecordHead head;
    std::memcpy(&head, record.data(), sizeof head);
    const std::string_view logits = std::string_view(record).substr(sizeof head);
    const auto split = static_cast<SplitName>(head.split);
    const bool is_split = split == SplitName::train || split == SplitName::val;
    if (!is_split || head_of(split, head.source, logits).crc != head.crc) return;
    records_[{split, head.source}] = end_ + static_cast<int64_t>(sizeof head);
    end_ += static_cast<int64_t>(record.size());
  }
}

bool AnswerLog::has(SplitName split, const int32_t* sources, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) {
    if (!records_.contains({split, sources[i]})) return false;
  }
  return true;
}

void AnswerLog::read(SplitName split, const int32_t* sources, int64_t count,
                     const at::Tensor& logits) const {
  auto* to = logits.mutable_data_ptr<float>();
  const size_t size = record_size() - sizeof(RecordHead);
  for (int64_t i = 0; i < count; ++i, to += views_ * classes_) {
    if (!read_at(to, size, records_.at({split, sources[i]}))) fail("it has been cut short");
  }
}

void AnswerLog::add(SplitName split, const int32_t* sources, int64_t count,
                    const at::Tensor& logits) {
  const size_t size = record_size() - sizeof(RecordHead);
  const at::Tensor values = logits.to(at::kCPU, at::kFloat).contiguous();
  const auto* from = static_cast<const char*>(values.const_data_ptr());
  std::string records;
  for (int64_t i = 0; i < count; ++i, from += size) {
    const auto begin = end_ + static_cast<int64_t>(records.size() + sizeof(RecordHead));
    if (!records_.emplace(std::pair(split, sources[i]), begin).second) continue;
    const RecordHead head = head_of(split, sources[i], {from, size});
    records.append(reinterpret_cast<const char*>(&head), sizeof head).append(from, size);
  }
  write(records);
}

void AnswerLog::fail(const std::string& reason) const {
  throw Error("ERR_WRITE", "the teacher's answers cannot be kept in '" + path_ + "': " + reason +
                               "; name another folder as runDir, on a disk with room");
}

}  // namespace distill
