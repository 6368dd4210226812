#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "core/graph/program.h"

namespace distill {

// Runs programs. A value is freed behind the last call that reads it.
class Executor {
 public:
  explicit Executor(Program program);

  const Program& program() const { return program_; }

  // The bound tensors, in the order of the program's bindings.
  using Tensors = std::vector<at::Tensor>;
  // Called with each value as it is computed.
  using Observer = std::function<void(ValueId, const c10::IValue&)>;

  // In evaluation mode: images (B, 3, H, W) -> the output. `observe` may be empty.
  at::Tensor evaluate(const Tensors& tensors, const at::Tensor& images,
                      const Observer& observe = {}) const;
  // In training mode, differentiable. BatchNorm moves its running statistics. dropout: the factors
  // that elements are multiplied by, (B, factors of all dropouts), each dropout's behind those of
  // the one before; undefined: nothing is dropped.
  at::Tensor train(const Tensors& tensors, const at::Tensor& images,
                   const at::Tensor& dropout) const;

  // A call that drops, and the number of factors that it takes for each picture.
  struct Dropout {
    size_t call;
    double rate;
    int64_t factors;
  };
  // Empty before measure().
  const std::vector<Dropout>& dropouts() const { return dropouts_; }
  void set_drop_rate(double rate);
  // Runs in evaluation mode, and finds the sizes of all values, and all dropouts, for pictures of
  // this size.
  at::Tensor measure(const Tensors& tensors, const at::Tensor& images);

 private:
  struct Run;
  at::Tensor run(const Tensors& tensors, const at::Tensor& images, Run& run) const;
  void run_call(size_t index, Run& run) const;
  at::Tensor drop(const at::Tensor& x, size_t index, const Run& run) const;

  Program program_;
  std::vector<std::vector<ValueId>> dead_after_;  // by call
  bool changes_;                                  // a call works in place
  std::vector<Dropout> dropouts_;
};

}  // namespace distill
