#pragma once

#include <ATen/core/function_schema.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/graph/program.h"

namespace distill {

// Bounds on numbers that a graph gives to operators, which ATen's own checks leave out or pass on
// to 32-bit arithmetic: sizes of windows and strides from 1 to 65,536, factors of resampling that
// are no further from 1 than 4,096, no attention that drops at random, …
std::vector<ArgumentBound> bounds_of(std::string_view name, const c10::FunctionSchema& schema);

// Verifies the arguments of a call before it is made: numbers against its bounds, and the number of
// parts that a tensor is cut into against that of its results. Throws std::invalid_argument, with a
// phrase for a message.
void check_arguments(const Call& call, const std::vector<c10::IValue>& arguments);

// Verifies that oneDNN's convolution adds a tensor of its result's own sizes, which it takes for
// granted. Throws as check_arguments().
void check_fused(const Call& call, const std::vector<c10::IValue>& arguments);

// The most memory that evaluating so many pictures may take, in bytes: far more than any image
// classifier does, and less than what would exhaust a machine.
constexpr size_t evaluation_memory(int64_t pictures) {
  return (size_t{1} << 30) + static_cast<size_t>(pictures) * (size_t{512} << 20);
}

// Counts the work of a run, so that views that stand for many elements, and windows as large as a
// picture, cannot make it endless.
class WorkLimit {
 public:
  explicit WorkLimit(int64_t pictures);

  // Adds an estimate of a call's multiplications before it is made. Throws as check_arguments().
  void add_call(const Call& call, const std::vector<c10::IValue>& arguments);
  // Adds a result. Throws as check_arguments().
  void add_result(const c10::IValue& result);

 private:
  void add(double multiplications);

  double left_;
  int64_t most_elements_;
};

}  // namespace distill
