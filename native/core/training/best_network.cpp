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

CheckpointContents trained_contents(const Network& network, Format format,
                                    const JsonObject& metadata, const EpochReport& report) {
  CheckpointContents contents = contents_of(network, format);
  contents.metadata = with_metrics(metadata, report).text();
  return contents;
}

void BestNetwork::start_from(const EpochReport& report) {
  best_ = Scores(report);
  for (const std::string& path : config_.paths) {
    if (!is_same_file(config_.start, path)) save(path, report);
  }
}

void BestNetwork::offer(EpochReport& report) {
  // A run that never improved on an untrained network still leaves its last one.
  const bool is_last_chance = !best_ && report.epoch == config_.epochs;
  report.saved = is_better(Scores(report), best_, config_.monitor) || is_last_chance;
  if (!report.saved) return;
  for (const std::string& path : config_.paths) save(path, report);
  recall(report);
}

void BestNetwork::recall(const EpochReport& report) {
  if (report.epoch > 0 && !report.saved) return;
  if (report.epoch == 0 || is_better(Scores(report), best_, config_.monitor))
    best_ = Scores(report);
  if (report.epoch > 0) report_ = report;
}

void BestNetwork::save(const std::string& path, const EpochReport& report) const {
  if (!config_.overwrite) refuse_others(path, config_.metadata);
  const Format format = format_of(path);
  write_checkpoint(path, format, trained_contents(network_, format, config_.metadata, report));
}

}  // namespace distill
