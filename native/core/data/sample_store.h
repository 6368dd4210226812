#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace distill {

// How much room a store needs.
struct StoreShape {
  int64_t image_size = 0;  // pixels a side
  int64_t classes = 0;
  int64_t train_capacity = 0;  // pictures, at most
  int64_t val_capacity = 0;
  int64_t train_size = 0;   // pixels a side of training pictures
  int64_t views = 1;        // that are kept of each training picture
  int64_t has_teacher = 1;  // whether a teacher's answers are kept
  bool operator==(const StoreShape&) const = default;

  int64_t bytes() const;
};

// The pictures of one half of the dataset, by sample index; of `views` rows for each picture those
// of sample i begin at i * views. What is behind `count` samples is not filled.
struct Split {
  at::Tensor pixels;          // (capacity * views, S, S, 3) uint8, RGB
  at::Tensor labels;          // (capacity) int64
  at::Tensor sources;         // (capacity) int64: the sample's place in the list of files
  at::Tensor teacher_logits;  // (capacity * views, classes) float32, raw: temperature and alpha
                              // stay free; (capacity * views, 0) without a teacher
  int64_t views = 1;
  int64_t count = 0;
};

// Everything that training reads: pixels, labels and the teacher's logits, prepared once.
//
// One block of memory, or one file mapped into memory: the same code reads both, and the system
// writes a file's pages out where memory is short.
class SampleStore {
 public:
  // Throws ERR_OUT_OF_MEMORY.
  static SampleStore in_memory(const StoreShape& shape);
  // In a file without a name, which vanishes with the process however that ends.
  // Throws ERR_CACHE where the folder cannot be written or the disk has no room for it.
  static SampleStore in_temporary_file(const StoreShape& shape, const std::string& folder);
  // In a file that `seal` gives the name <folder>/<fingerprint>.store. Throws as above.
  static SampleStore in_kept_file(const StoreShape& shape, const std::string& folder,
                                  const std::string& fingerprint);
  // A kept store of an earlier run, if it is there, whole and of this shape.
  static std::optional<SampleStore> reopen(const StoreShape& shape, const std::string& folder,
                                           const std::string& fingerprint);

  SampleStore(SampleStore&&);
  SampleStore& operator=(SampleStore&&);
  ~SampleStore();

  // Makes room for `count` samples behind the ones that are there, notes what they are and returns
  // the new rows of `pixels`, which the caller fills.
  at::Tensor append(Split& split, const int32_t* labels, const int32_t* sources, int64_t count);
  // Called once, when everything is in.
  void seal();

  const StoreShape& shape() const { return shape_; }
  Split& train() { return train_; }
  Split& val() { return val_; }
  const Split& train() const { return train_; }
  const Split& val() const { return val_; }

 private:
  class File;
  SampleStore(const StoreShape& shape, std::shared_ptr<void> memory, std::unique_ptr<File> file);
  struct Header;
  Header& header() const;

  StoreShape shape_;
  std::shared_ptr<void> memory_;  // unmapped with the last tensor that looks into it
  std::unique_ptr<File> file_;    // a kept file that has no name yet
  Split train_, val_;
};

}  // namespace distill
