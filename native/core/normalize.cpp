#include "core/normalize.h"

namespace distill {

Normalizer::Normalizer(const Preprocessing& preprocessing, at::Device device)
    : mean_(at::tensor(at::ArrayRef<double>(preprocessing.mean), at::kFloat)
                .view({1, 3, 1, 1})
                .to(device)),
      std_(at::tensor(at::ArrayRef<double>(preprocessing.std), at::kFloat)
               .view({1, 3, 1, 1})
               .to(device)) {}

at::Tensor Normalizer::operator()(const at::Tensor& pixels) const {
  return pixels.to(mean_.device())
      .permute({0, 3, 1, 2})
      .to(at::kFloat)
      .div_(255)
      .sub_(mean_)
      .div_(std_);
}

}  // namespace distill
