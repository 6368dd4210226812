#include "core/normalize.h"

#include <ATen/Parallel.h>

namespace distill {
namespace {

template <typename T>
void look_up(const uint8_t* pixels, const T* table, T* values, int64_t count) {
  for (int64_t i = 0; i < 3 * count; i += 3) {
    for (int64_t c = 0; c < 3; ++c) values[i + c] = table[3 * pixels[i + c] + c];
  }
}

}  // namespace

Normalizer::Normalizer(const Preprocessing& preprocessing, at::Device device, at::ScalarType dtype)
    : mean_(at::tensor(at::ArrayRef<double>(preprocessing.mean), at::kFloat).view({1, 3, 1, 1})),
      std_(at::tensor(at::ArrayRef<double>(preprocessing.std), at::kFloat).view({1, 3, 1, 1})) {
  const at::Tensor values = at::arange(256, at::kFloat).div_(255).view({256, 1});
  table_ = values.sub(mean_.view({1, 3})).div_(std_.view({1, 3})).to(dtype);
  mean_ = mean_.to(device);
  std_ = std_.to(device);
}

at::Tensor Normalizer::operator()(const at::Tensor& pixels) const {
  return (*this)(pixels, at::arange(pixels.size(0), at::kLong));
}

at::Tensor Normalizer::operator()(const at::Tensor& pixels, const at::Tensor& indices) const {
  if (!mean_.is_cpu()) {
    const at::Tensor images =
        pixels.index_select(0, indices).to(mean_.device()).permute({0, 3, 1, 2}).to(at::kFloat);
    return images.div_(255).sub_(mean_).div_(std_).to(table_.scalar_type());
  }
  const int64_t count = indices.size(0), height = pixels.size(1), width = pixels.size(2);
  at::Tensor images = at::empty({count, height, width, 3}, table_.scalar_type());
  const uint8_t* from = pixels.const_data_ptr<uint8_t>();
  const int64_t* index = indices.const_data_ptr<int64_t>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, table_.scalar_type(), "normalize", [&] {
    const auto* table = table_.const_data_ptr<scalar_t>();
    auto* to = images.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, count * height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t source = index[row / height] * height + row % height;
        look_up(from + source * width * 3, table, to + row * width * 3, width);
      }
    });
  });
  return images.permute({0, 3, 1, 2});
}

}  // namespace distill
