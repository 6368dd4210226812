#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/device/device.h"
#include "core/training/config.h"
#include "core/training/report.h"
#include "core/training/result.h"
#include "core/training/store_filler.h"
#include "core/training/teacher_scores.h"

namespace distill {

// Trainings on one prepared store, one after another: open, load a teacher, fill or reopen the
// store, train. Everything but control() and reset_progress() is called on one thread.
class Session {
 public:
  Session(const Preprocessing& preprocessing, const Execution& execution)
      : preprocessing_(preprocessing), execution_(execution) {}

  // Chooses where to compute. Throws ERR_DEVICE.
  struct Opened {
    std::string device, precision;
    std::string warning;  // the reason why 'auto' has no GPU; empty where there is none to give
  };
  Opened open();

  // Reads the teacher of a distillation, its averaged weights where asked for. Throws
  // ERR_CHECKPOINT_… and ERR_TEACHER_ARCHITECTURE.
  struct LoadedTeacher {
    std::string architecture;
    int64_t classes, parameters;
  };
  LoadedTeacher load_teacher(const std::string& path, bool averaged);

  // Makes an empty store, whose training pictures are augmented by `view` on their way into it.
  // Throws what SampleStore::create throws.
  // `answers` keeps the teacher's answers as they are given.
  void create_store(const StoreShape& shape, const StorePlace& place, const Augmentation& view,
                    const AnswerLogPlace& answers);
  // True where append() needs no answers for these pictures: they are in that log.
  bool has_answers(SplitName split, const int32_t* sources, int64_t count) const;
  // Takes over the store that an earlier run has kept, if there is one. Returns the places of its
  // pictures in the lists of files. Throws what SampleStore::reopen throws.
  struct Sources {
    std::vector<int32_t> train, val;
  };
  std::optional<Sources> reopen_store(const StoreShape& shape, const StorePlace& place);
  // The pixels that append() will put into the store; see StoreFiller::views.
  at::Tensor views(const at::Tensor& pixels, const int32_t* sources) const;
  // Throws what StoreFiller::append throws.
  void append(const ImageBatch& batch);
  // The store is complete: a kept file is written, and the teacher goes. Throws ERR_CACHE.
  void seal_store();

  TeacherScores validate_teacher(SplitName split) const;

  // Train on the store. Throw what train() throws, and what making the network throws.
  using OnEpoch = std::function<void(const EpochReport&)>;
  TrainResult train(const TrainConfig& config, const DistillConfig& distill_config,
                    const OnEpoch& on_epoch);
  TrainResult teach(const TrainConfig& config, const TeachConfig& teach_config,
                    const OnEpoch& on_epoch);

  // Gives teacher and store back to the system.
  void close();

  // For any thread.
  TrainingControl& control() { return control_; }
  // Forgets the progress of the training before, when the next one is asked for.
  void reset_progress();

 private:
  void release_memory() const;

  Preprocessing preprocessing_;
  Execution execution_;
  TrainingControl control_;
  Compute compute_;
  std::optional<Teacher> teacher_;
  std::optional<SampleStore> store_;
  std::optional<StoreFiller> filler_;  // until the store is sealed
};

}  // namespace distill
