#pragma once

#include <ATen/ATen.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/names.h"

namespace distill {

class File;
class TemporaryFile;

// The sizes that a store's room follows from.
struct StoreShape {
  int64_t image_size;  // side of the validation pictures in pixels
  int64_t classes;
  int64_t train_capacity;  // pictures, at most
  int64_t val_capacity;
  int64_t train_size;   // side of the training pictures in pixels
  int64_t views;        // stored of each training picture
  int64_t has_teacher;  // 1 if a teacher's logits are stored
  bool operator==(const StoreShape&) const = default;

  int64_t bytes() const;
};

// The place of a store.
struct StorePlace {
  bool in_memory = true;    // while it is in use; else in a file without a name
  std::string folder;       // of that file, and of the kept one
  std::string fingerprint;  // 64 digits, a hash of everything that the contents follow from; empty
                            // if the store is not kept for later runs
};

// The values of `in_memory` by name.
inline constexpr Named<bool> store_places[] = {{"memory", true}, {"temporary", false}};

// The two splits of a dataset.
enum class SplitName { train, val };
inline constexpr Named<SplitName> split_names[] = {{"train", SplitName::train},
                                                   {"val", SplitName::val}};

// The label of a training picture whose class is not known.
inline constexpr int64_t no_label = -1;

// Pictures on their way into a store.
struct ImageBatch {
  SplitName split;
  at::Tensor pixels;                   // (n, S, S, 3) uint8, RGB
  const int32_t* labels;               // (n): classes, or no_label
  const int32_t* sources;              // (n): each picture's place in the list of files
  bool answered;                       // whether the teacher's logits for them go into the store
  at::ArrayRef<float> teacher_logits;  // (n, classes) where no teacher is loaded; else empty
};

// The pictures of one split of the dataset. Each sample has `views` rows; those of sample i begin
// at i * views. Rows behind those of `count` samples are not filled.
struct Split {
  at::Tensor pixels;          // (capacity * views, S, S, 3) uint8, RGB
  at::Tensor labels;          // (capacity) int64: classes, or no_label
  at::Tensor sources;         // (capacity) int64: the sample's place in the list of files
  at::Tensor teacher_logits;  // (capacity * views, classes) float32, raw: temperature and alpha
                              // stay free; (capacity * views, 0) without a teacher
  int64_t views = 1;
  int64_t count = 0;
};

// Everything that training reads: pixels, labels and the teacher's logits, prepared once.
//
// One block of memory, or one file mapped into memory: the same code reads both, and the system
// writes a file's pages out where memory is short. That file has no name, so that it vanishes with
// the process however that ends, and nobody else can change it or cut it short under the mapping,
// which would end the process. For the same reason a store that is kept for later runs is another
// file, <folder>/<fingerprint>.store, which is only ever written and read as a whole.
class SampleStore {
 public:
  // Makes an empty store and takes the room of a kept file now. Throws ERR_OUT_OF_MEMORY, and
  // ERR_CACHE if the folder cannot be written or the disk has no room.
  static SampleStore create(const StoreShape& shape, const StorePlace& place);
  // Copies the store that an earlier run has kept. Returns nothing if there is none that is whole
  // and of this shape, or if it is stopped. Throws as above, and ERR_CACHE if another user may have
  // put or changed the file.
  static std::optional<SampleStore> reopen(const StoreShape& shape, const StorePlace& place,
                                           const std::atomic<bool>& stop);

  SampleStore(SampleStore&&);
  SampleStore& operator=(SampleStore&&);
  ~SampleStore();

  // Adds the pictures' labels and sources to their split and returns the new rows of its `pixels`,
  // which the caller fills: those of a picture's views lie side by side. Throws ERR_INTERNAL where
  // a label is no class of the store; no_label is for training pictures alone.
  at::Tensor append(const ImageBatch& batch);
  // Completes the store, once: a kept file is written and gets its name.
  void seal();

  const StoreShape& shape() const { return shape_; }
  Split& train() { return train_; }
  Split& val() { return val_; }
  Split& split(SplitName name) { return name == SplitName::train ? train_ : val_; }
  const Split& train() const { return train_; }
  const Split& val() const { return val_; }
  const Split& split(SplitName name) const { return name == SplitName::train ? train_ : val_; }

 private:
  struct Header;
  SampleStore(const StoreShape& shape, std::shared_ptr<void> memory);
  static SampleStore make(const StoreShape& shape, const StorePlace& place);
  bool load(const File& file, const std::atomic<bool>& stop);

  StoreShape shape_;
  std::shared_ptr<void> memory_;  // unmapped with the last tensor that looks into it
  StorePlace place_;
  std::unique_ptr<TemporaryFile> kept_;  // until it is sealed
  Split train_, val_;
};

}  // namespace distill
