#include "core/training/best_network.h"

#include <algorithm>
#include <filesystem>

#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/writer.h"
#include "core/error.h"
#include "core/models/registry.h"

namespace distill {
namespace {

// True for the metadata of a student's training, which tells its teacher.
bool is_students(const JsonObject& metadata) {
  return metadata.find("teacher") != nullptr;
}

// Refuses to replace a file that is no network with the metadata of such a run, a student's or a
// teacher's: it has come there since the caller looked.
void refuse_others(const std::string& path, const JsonObject& metadata) {
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return;
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    const auto found = checkpoint.record(metadata_record);
    const bool is_network = checkpoint.has_graph() || recognize(checkpoint);
    if (found && is_network &&
        is_students(JsonObject::parse(*found, path)) == is_students(metadata)) {
      return;
    }
  } catch (const Error&) {
  }
  throw Error("ERR_EXISTS", "'" + path +
                                "' has come there since the run began, and is not replaced: move "
                                "it away, or name another file to write to");
}

// Returns true where two paths lead to the same file.
bool is_same_file(const std::string& one, const std::string& other) {
  std::error_code missing;
  return std::filesystem::equivalent(one, other, missing);
}

// The metadata of a run with the numbers that only its training knows.
JsonObject with_metrics(JsonObject metadata, const EpochReport& report) {
  JsonObject metrics;
  if (report.epoch > 0) {
    metrics.add("trainLoss", report.train.loss).add("trainAccuracy", report.train.accuracy);
  }
  metrics.add("valLoss", report.val.loss).add("valAccuracy", report.val.accuracy);
  metadata.add("epoch", report.epoch).add("metrics", metrics);
  return metadata;
}

}  // namespace

bool leaves_nothing(const Metrics& val) {
  return val.loss < 0.0001 || val.accuracy > 0.9999;
}

bool is_better(const Metrics& val, const std::optional<Metrics>& best, Keep keep) {
  switch (keep) {
    case Keep::accuracy:
      return !best || val.accuracy > best->accuracy ||
             (val.accuracy == best->accuracy && val.loss < best->loss);
    case Keep::loss:
      return !best || val.loss < best->loss;
    case Keep::both:
      break;
  }
  // The reference starts from these.
  const Metrics before = best.value_or(Metrics{/*loss=*/100, /*accuracy=*/0});
  const bool is_more_accurate = val.accuracy > before.accuracy,
             has_less_loss = val.loss < before.loss;
  // One of them is enough where nothing is left to learn.
  return leaves_nothing(val) ? is_more_accurate || has_less_loss
                             : is_more_accurate && has_less_loss;
}

void BestNetwork::start_from(const EpochReport& report) {
  best_ = report.val;
  if (!config_.path.empty() && !is_same_file(config_.start, config_.path)) save(report);
}

void BestNetwork::offer(EpochReport& report) {
  const bool better = is_better(report.val, best_, config_.keep);
  // A run that never improved on an untrained network still leaves its last one.
  const bool is_last_chance = !best_ && report.epoch == config_.epochs;
  if (!better && !is_last_chance) return;
  if (!config_.path.empty()) save(report);
  report.saved = true;
  report_ = report;
  if (better) best_ = report.val;
}

void BestNetwork::save(const EpochReport& report) const {
  if (!config_.overwrite) refuse_others(config_.path, config_.metadata);
  const Format format = format_of(config_.path);
  CheckpointContents contents = contents_of(network_, format);
  contents.metadata = with_metrics(config_.metadata, report).text();
  write_checkpoint(config_.path, format, contents);
}

}  // namespace distill
