#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>

#include "core/names.h"
#include "core/training/report.h"

// The rules by which validations are compared: what the best network is, and when there is nothing
// left to wait for.
namespace distill {

// The condition on a validation that makes its network the best so far.
enum class Monitor {
  accuracy_and_loss,  // accuracy and loss have both improved, as in the reference
  accuracy,           // the accuracy has improved, or the loss at the same accuracy
  loss,               // the loss has improved
  agreement,          // the agreement with the teacher has improved, or the loss at the same one
};
inline constexpr Named<Monitor> monitors[] = {{"accuracy-and-loss", Monitor::accuracy_and_loss},
                                              {"accuracy", Monitor::accuracy},
                                              {"loss", Monitor::loss},
                                              {"agreement", Monitor::agreement}};

// What a monitor sees of an epoch.
struct Scores {
  double loss, accuracy;
  double agreement;  // 0 where it is not measured

  explicit Scores(const EpochReport& report)
      : loss(report.val.loss),
        accuracy(report.val.accuracy),
        agreement(report.val_agreement.value_or(0)) {}
};

// Compares a validation with the best one before it, if there is one. Returns true where it is
// better by more than min_delta.
bool is_better(const Scores& scores, const std::optional<Scores>& best, Monitor monitor,
               double min_delta = 0);

// Returns true where a validation leaves nothing to learn: the reference stops early there.
bool leaves_nothing(const Scores& scores);

// The epochs that the monitors would keep.
class KeptBy {
 public:
  void see(const EpochReport& report);
  // The epoch that a monitor would keep; 0: what the training started from.
  std::optional<int64_t> operator[](Monitor monitor) const;

 private:
  struct Kept {
    Scores scores;
    int64_t epoch;
  };
  std::array<std::optional<Kept>, std::size(monitors)> kept_;  // in the order of `monitors`
};

// Counts the epochs since the last one that was better by more than min_delta.
class Patience {
 public:
  // epochs: how many are waited for; none: for ever.
  Patience(std::optional<int64_t> epochs, double min_delta, Monitor monitor)
      : epochs_(epochs), min_delta_(min_delta), monitor_(monitor) {}

  void see(const EpochReport& report);
  bool is_over() const { return epochs_ && waited_ >= *epochs_; }

 private:
  std::optional<int64_t> epochs_;
  double min_delta_;
  Monitor monitor_;
  std::optional<Scores> best_;
  int64_t waited_ = 0;
};

}  // namespace distill
