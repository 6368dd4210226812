#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include "core/kernels/batch_norm.h"

namespace distill {

// A BatchNorm by a batch's moments and its input, kept for the backward pass. The variance is not
// kept: it follows from inverse_std.
struct SavedNorm {
  at::Tensor x;
  BatchAffine affine;
};

inline void save_norm(torch::autograd::AutogradContext& context, const at::Tensor& x,
                      const BatchAffine& norm) {
  context.save_for_backward(
      {x, norm.moments.mean, norm.moments.inverse_std, norm.affine.scale, norm.affine.shift});
  context.saved_data["count"] = norm.moments.count;
}

inline SavedNorm saved_norm(torch::autograd::AutogradContext& context) {
  const torch::autograd::variable_list saved = context.get_saved_variables();
  const BatchMoments moments{saved[1], /*var=*/{}, saved[2],
                             context.saved_data["count"].toDouble()};
  return {saved[0], {moments, {saved[3], saved[4]}}};
}

}  // namespace distill
