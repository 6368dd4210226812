#include "core/training/sampler.h"

#include "core/data/sample_store.h"

namespace distill {

at::Tensor sequential_sampler(const at::Tensor& labels, const at::Generator&) {
  return at::arange(labels.size(0), at::kLong);
}

at::Tensor shuffle_sampler(const at::Tensor& labels, const at::Generator& generator) {
  return at::randperm(labels.size(0), generator, at::kLong);
}

at::Tensor balanced_sampler(const at::Tensor& labels, const at::Generator& generator) {
  return at::multinomial(balanced_weights(labels), labels.size(0), /*replacement=*/true, generator);
}

at::Tensor balanced_weights(const at::Tensor& labels) {
  const at::Tensor has_label = labels.ne(no_label);
  const at::Tensor classes = labels.masked_select(has_label);
  const at::Tensor counts = at::bincount(classes).to(at::kDouble);
  const at::Tensor weights = counts.reciprocal().index_select(0, labels.clamp_min(0));
  const double mean = weights.masked_select(has_label).mean().item<double>();
  return weights.masked_fill(has_label.logical_not(), mean);
}

std::span<const Named<Sampler*>> samplers() {
  static constexpr Named<Sampler*> table[] = {
      {"sequential", &sequential_sampler},
      {"shuffle", &shuffle_sampler},
      {"balanced", &balanced_sampler},
  };
  return table;
}

}  // namespace distill
