#include "core/data/normalize.h"

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
  if (!mean_.is_cpu()) return on_device(pixels);
  return (*this)(pixels, at::arange(pixels.size(0), at::kLong));
}

at::Tensor Normalizer::operator()(const at::Tensor& pixels, const at::Tensor& indices) const {
  if (!mean_.is_cpu()) return on_device(pixels.index_select(0, indices));
  const int64_t height = pixels.size(1), width = pixels.size(2);
  const uint8_t* from = pixels.const_data_ptr<uint8_t>();
  const int64_t* index = indices.const_data_ptr<int64_t>();
  return look_up_rows(indices.size(0), height, width, [=](int64_t i, int64_t y, uint8_t*) {
    return from + (index[i] * height + y) * width * 3;
  });
}

at::Tensor Normalizer::operator()(const at::Tensor& pixels, const at::Tensor& indices,
                                  const at::Tensor& windows, int64_t size) const {
  if (!mean_.is_cpu()) return on_device(cut_windows(pixels, indices, windows, size));
  const int64_t side = pixels.size(1);
  const uint8_t* from = pixels.const_data_ptr<uint8_t>();
  const int64_t* index = indices.const_data_ptr<int64_t>();
  return look_up_rows(indices.size(0), size, size, [&, from](int64_t i, int64_t y, uint8_t* row) {
    cut_row(from + index[i] * side * side * 3, side, window_at(windows, i, size), size, y, row);
    return static_cast<const uint8_t*>(row);
  });
}

at::Tensor Normalizer::on_device(const at::Tensor& pixels) const {
  const at::Tensor images = pixels.permute({0, 3, 1, 2}).to(at::kFloat);
  return images.div_(255).sub_(mean_).div_(std_).to(table_.scalar_type());
}

template <typename Row>
at::Tensor Normalizer::look_up_rows(int64_t count, int64_t height, int64_t width,
                                    const Row& row_of) const {
  const at::Tensor images = at::empty({count, height, width, 3}, table_.scalar_type());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, table_.scalar_type(), "normalize", [&] {
    const auto* table = table_.const_data_ptr<scalar_t>();
    auto* to = images.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, count * height, 1, [&](int64_t begin, int64_t end) {
      std::vector<uint8_t> room(width * 3);
      for (int64_t row = begin; row < end; ++row) {
        look_up(row_of(row / height, row % height, room.data()), table, to + row * width * 3,
                width);
      }
    });
  });
  return images.permute({0, 3, 1, 2});
}

}  // namespace distill
