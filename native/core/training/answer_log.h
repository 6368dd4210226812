#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/data/sample_store.h"

namespace distill {

// The place of a run's answer log.
struct AnswerLogPlace {
  std::string file;         // empty: answers are not kept
  std::string fingerprint;  // of all that the answers follow from
};

// A teacher's answers in a file, as they are given: a run that is interrupted while it prepares
// does not ask for them again. A line says what they follow from; behind it each picture has a
// record of one size: its split, its place in the list of files, a CRC-32, and its logits.
class AnswerLog {
 public:
  // Opens the file behind the last whole record, or begins it where it is missing or another's.
  // Throws ERR_WRITE.
  AnswerLog(const AnswerLogPlace& place, const StoreShape& shape);
  AnswerLog(const AnswerLog&) = delete;
  AnswerLog& operator=(const AnswerLog&) = delete;
  ~AnswerLog();

  // True where all of these pictures are in the log.
  bool has(SplitName split, const int32_t* sources, int64_t count) const;
  // Copies the answers for pictures that are in the log: (count * views, classes) float32. A file
  // that has changed meanwhile throws ERR_WRITE.
  void read(SplitName split, const int32_t* sources, int64_t count, const at::Tensor& logits) const;
  // Adds the answers that are not there yet. Throws ERR_WRITE.
  void add(SplitName split, const int32_t* sources, int64_t count, const at::Tensor& logits);

 private:
  [[noreturn]] void fail(const std::string& reason) const;
  void open(const std::string& line);
  void write(std::string_view bytes);
  bool read_at(void* to, size_t size, int64_t at) const;
  void find_records(int64_t end);
  size_t record_size() const;

  std::string path_;
  int64_t views_, classes_;
  int descriptor_ = -1;
  int64_t end_ = 0;                                           // of the last whole record
  std::map<std::pair<SplitName, int32_t>, int64_t> records_;  // where a picture's logits begin
};

}  // namespace distill
