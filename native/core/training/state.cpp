#include "core/training/state.h"

#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "core/checkpoint/json.h"
#include "core/checkpoint/json_object.h"
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/text.h"
#include "core/checkpoint/writer.h"
#include "core/error.h"
#include "core/file.h"

namespace distill {
namespace {

// Raised when what a state holds, or means, changes.
constexpr int64_t version = 1;

constexpr std::string_view network_prefix = "network.", optimizer_prefix = "optimizers.";
constexpr int64_t most_optimizers = 16;  // groups of parameters; there are two at most

[[noreturn]] void refuse(const std::string& reason) {
  throw Error("ERR_STATE", reason + "; start the run anew");
}

// The numbers of an epoch's report, one by one: its row in the file.
template <typename Report, typename Visit>
void visit_numbers(Report& report, const Visit& visit) {
  visit(report.train.loss);
  visit(report.train.accuracy);
  visit(report.val.loss);
  visit(report.val.accuracy);
  visit(report.train_seconds);
  visit(report.val_seconds);
}
constexpr int64_t report_columns = 9;  // these, and the epoch, the agreement and `saved`

at::Tensor rows_of(const std::vector<EpochReport>& reports) {
  const auto count = static_cast<int64_t>(reports.size());
  const at::Tensor rows = at::empty({count, report_columns}, at::kDouble);
  auto* next = rows.mutable_data_ptr<double>();
  for (const EpochReport& report : reports) {
    *next++ = static_cast<double>(report.epoch);
    visit_numbers(report, [&](double number) { *next++ = number; });
    *next++ = report.val_agreement.value_or(std::numeric_limits<double>::quiet_NaN());
    *next++ = report.saved ? 1 : 0;
  }
  return rows;
}

std::vector<EpochReport> reports_of(const at::Tensor& rows) {
  std::vector<EpochReport> reports;
  reports.reserve(rows.size(0));  // a vector that grows takes three times as much at its worst
  const auto* next = rows.const_data_ptr<double>();
  for (int64_t row = 0; row < rows.size(0); ++row) {
    EpochReport report;
    // The first row may be that of the network which the training started from.
    const double first = reports.empty() ? *next : static_cast<double>(reports.back().epoch + 1);
    if (*next != first || (first != 0 && first != 1 && reports.empty())) {
      refuse("its epochs are not in order");
    }
    report.epoch = static_cast<int64_t>(*next++);
    visit_numbers(report, [&](double& number) { number = *next++; });
    const double agreement = *next++;
    if (!std::isnan(agreement)) report.val_agreement = agreement;
    report.saved = *next++ == 1;
    reports.push_back(std::move(report));
  }
  return reports;
}

JsonObject numbers_of(const TrainingState& state) {
  JsonObject numbers;
  numbers.add("state", version)
      .add("epoch", state.epoch)
      .add("step", state.step)
      .add("trainSeconds", state.train_seconds)
      .add("seconds", state.seconds);
  numbers.set("fingerprint", json_string(state.fingerprint));
  return numbers;
}

void read_numbers(const std::string& text, const std::string& path, TrainingState& state) {
  int64_t found_version = 0;
  JsonReader json(text, path);
  json.object([&](const std::string& name) {
    if (name == "state") {
      found_version = json.count();
    } else if (name == "epoch") {
      state.epoch = json.count();
    } else if (name == "step") {
      state.step = json.count();
    } else if (name == "trainSeconds") {
      state.train_seconds = json.number();
    } else if (name == "seconds") {
      state.seconds = json.number();
    } else if (name == "fingerprint") {
      state.fingerprint = json.string();
    } else {
      json.skip();
    }
  });
  json.end();
  if (found_version != version) {
    refuse("it is a state of version " + std::to_string(found_version) +
           ", and this is node-distill with version " + std::to_string(version));
  }
  const bool are_seconds = std::isfinite(state.seconds) && std::isfinite(state.train_seconds) &&
                           state.seconds >= 0 && state.train_seconds >= 0;
  if (state.epoch < 1 || !are_seconds) refuse("its epoch or its seconds are none");
}

// Contiguous, so that the thread that writes it has nothing left to compute.
at::Tensor copy_to_host(const at::Tensor& tensor) {
  return at::empty(tensor.sizes(), tensor.options().device(at::kCPU).requires_grad(false))
      .copy_(tensor.detach());
}

at::Tensor read_tensor(const File& file, const TensorEntry& entry) {
  const at::Tensor tensor = at::empty(entry.shape, entry.dtype);
  if (!file.read(tensor.mutable_data_ptr(), tensor.nbytes(), entry.storage.begin)) {
    refuse("'" + printable(entry.name) + "' is cut short");
  }
  return tensor;
}

// Puts a tensor of the file in its place.
void place(const std::string& name, const at::Tensor& tensor, TrainingState& state) {
  const auto expect = [&](at::ScalarType dtype, int64_t dimensions, int64_t columns = -1) {
    const bool fits = tensor.scalar_type() == dtype && tensor.dim() == dimensions &&
                      (columns < 0 || tensor.size(1) == columns);
    if (!fits) refuse("'" + name + "' has another shape or type");
    return tensor;
  };
  if (name == "generator") {
    state.generator = expect(at::kByte, 1);
  } else if (name == "order") {
    state.order = expect(at::kLong, 1);
  } else if (name == "metrics") {
    state.metrics = expect(at::kDouble, 2, 5);
  } else if (name == "reports") {
    state.reports = reports_of(expect(at::kDouble, 2, report_columns));
  } else if (name.starts_with(network_prefix)) {
    state.network.insert(name.substr(network_prefix.size()), tensor);
  } else if (name.starts_with(optimizer_prefix)) {
    // "optimizers.<group>.<name>", with one digit or two.
    const size_t dot = name.find('.', optimizer_prefix.size());
    const std::string digits =
        dot == std::string::npos
            ? ""
            : name.substr(optimizer_prefix.size(), dot - optimizer_prefix.size());
    const bool is_group = !digits.empty() && digits.size() <= 2 &&
                          digits.find_first_not_of("0123456789") == std::string::npos &&
                          std::stoll(digits) < most_optimizers;
    if (!is_group) refuse("'" + printable(name) + "' is no tensor of a state");
    const auto group = static_cast<size_t>(std::stoll(digits));
    if (state.optimizers.size() <= group) state.optimizers.resize(group + 1);
    state.optimizers[group].insert(name.substr(dot + 1), tensor);
  } else {
    refuse("'" + printable(name) + "' is no tensor of a state");
  }
}

}  // namespace

StateDict snapshot(const StateDict& tensors) {
  StateDict copies;
  for (const auto& [name, tensor] : tensors) copies.insert(name, copy_to_host(tensor));
  return copies;
}

TrainingState snapshot(const TrainingState& state) {
  TrainingState copied = state;
  copied.network = snapshot(state.network);
  for (StateDict& optimizer : copied.optimizers) optimizer = snapshot(optimizer);
  // The other tensors are this state's own.
  return copied;
}

void write_state(const std::string& path, const TrainingState& state) {
  StateDict tensors;
  const auto insert_all = [&](const std::string& prefix, const StateDict& from) {
    for (const auto& [name, tensor] : from) tensors.insert(prefix + name, tensor);
  };
  insert_all(std::string(network_prefix), state.network);
  for (size_t i = 0; i < state.optimizers.size(); ++i) {
    insert_all(std::string(optimizer_prefix) + std::to_string(i) + ".", state.optimizers[i]);
  }
  tensors.insert("generator", state.generator);
  if (state.order.defined()) tensors.insert("order", state.order);
  if (state.step > 0) tensors.insert("metrics", state.metrics);
  if (!state.reports.empty()) tensors.insert("reports", rows_of(state.reports));
  write_tensors(path, tensors, numbers_of(state).text());
}

TrainingState read_state(const std::string& path) {
  try {
    const File file(path);
    const Safetensors contents = read_safetensors(file, path);
    const auto numbers = contents.metadata.find(metadata_record);
    if (numbers == contents.metadata.end()) refuse("it holds no state of a training");
    TrainingState state;
    read_numbers(numbers->second, path, state);
    for (const TensorEntry& entry : contents.tensors) {
      place(entry.name, read_tensor(file, entry), state);
    }
    const int64_t ended = state.reports.empty() ? 0 : state.reports.back().epoch;
    const int64_t measured = state.metrics.defined() ? state.metrics.size(0) : 0;
    if (!state.generator.defined() || state.epoch != ended + 1 || state.step != measured ||
        (state.step > 0 && !state.order.defined())) {
      refuse("its parts do not fit each other");
    }
    return state;
  } catch (const Error& error) {
    throw Error("ERR_STATE", "'" + path + "' cannot be resumed from: " + error.what());
  } catch (const FileError& error) {
    throw Error("ERR_STATE", "'" + path + "' cannot be read: " + error.what());
  }
}

void take_over(const StateDict& from, const StateDict& into, const std::string& what) {
  if (from.size() != into.size()) refuse(what + " has other tensors");
  for (const auto& [name, tensor] : into) {
    const at::Tensor* found = from.find(name);
    if (!found || found->sizes() != tensor.sizes() ||
        found->scalar_type() != tensor.scalar_type()) {
      refuse(what + " has no '" + printable(name) + "' of that shape and type");
    }
    tensor.copy_(*found);
  }
}

}  // namespace distill
