#pragma once

#include <ATen/core/Generator.h>

#include <functional>

#include "core/data/normalize.h"
#include "core/data/sample_store.h"
#include "core/device/device.h"
#include "core/training/config.h"
#include "core/training/learner.h"
#include "core/training/report.h"
#include "core/training/result.h"

namespace distill {

// Trains a learner on the store's pictures, epoch after epoch, and keeps the best network in
// config.paths, and its own state in config.keep's, from which it can go on. `generator` has drawn
// its initial weights and draws on. With config.agreement the store holds the teacher's logits for
// the validation pictures, too. Throws ERR_NOT_FINITE where the loss is no longer a number,
// ERR_STATE where it cannot go on from the state, and what writing the files throws.
TrainResult train(const SampleStore& store, const Preprocessing& preprocessing,
                  const TrainConfig& config, Learner& learner, at::Generator generator,
                  const Compute& compute, TrainingControl& control,
                  const std::function<void(const EpochReport&)>& on_epoch);

}  // namespace distill
