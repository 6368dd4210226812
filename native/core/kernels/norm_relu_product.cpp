#include "core/kernels/norm_relu_product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/kernels/norm_relu_rows.h"
#include "core/kernels/products.h"

namespace distill {
namespace {

// The pixels of all pictures in pieces, as many for each thread. The ReLU's result for a piece and
// its gradient take a quarter each of a second-level cache of 1 MiB.
struct Pieces {
  Pieces(int64_t pixels, int64_t channels) : pixels(pixels) {
    constexpr int64_t cache_floats = 64 * 1024;
    const int64_t at_most = std::clamp<int64_t>(cache_floats / channels, 12, 96);
    const int64_t threads = at::get_num_threads();
    const int64_t needed = (pixels + at_most - 1) / at_most;
    count = std::min((needed + threads - 1) / threads * threads, pixels);
  }
  int64_t first(int64_t piece) const { return piece * pixels / count; }
  int64_t largest() const { return (pixels + count - 1) / count; }
  int64_t pixels, count;
};

// The memory of one thread for its pieces.
struct Buffers {
  at::Tensor activated, gradient;  // (largest piece, channels): the ReLU's result, its gradient
  at::Tensor weight;               // (out, channels): the sum of the pieces' gradients
};

// (rows, columns) -> (columns, rows), in blocks whose rows are a cache line each.
at::Tensor transposed(const at::Tensor& matrix) {
  constexpr int64_t block = 16;
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  const at::Tensor result = at::empty({columns, rows});
  const float* const from = matrix.const_data_ptr<float>();
  float* const to = result.mutable_data_ptr<float>();
  at::parallel_for(0, columns / block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * block; first < end * block; first += block) {
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = first; c < first + block; ++c)
          to[c * rows + row] = from[row * columns + c];
      }
    }
  });
  return result;
}

}  // namespace

at::Tensor norm_relu_product(const at::Tensor& features, const BatchAffine& norm,
                             const at::Tensor& weight) {
  const int64_t channels = weight.size(1), out = weight.size(0), stride = features.stride(3);
  const int64_t pixels = features.size(0) * features.size(2) * features.size(3);
  const at::Tensor y = at::empty({features.size(0), features.size(2), features.size(3), out});
  const at::Tensor transposed_weight = transposed(weight);
  const float* const from = features.const_data_ptr<float>();
  const float* const factors = transposed_weight.const_data_ptr<float>();
  float* const to = y.mutable_data_ptr<float>();
  const Pieces pieces(pixels, channels);
  at::parallel_for(0, pieces.count, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor buffer = at::empty({pieces.largest() * channels});
    float* const activated = buffer.mutable_data_ptr<float>();
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = pieces.first(piece), count = pieces.first(piece + 1) - first;
      rows::norm_relu(from + first * stride, stride, norm.affine.values(), activated, count,
                      channels);
      product({activated, channels, 1}, {factors, out}, {to + first * out, out}, count, channels,
              out,
              /*add=*/false);
    }
  });
  return y.permute({0, 3, 1, 2});
}

FeatureGradient::OfProduct FeatureGradient::add_product(const at::Tensor& features,
                                                        const BatchAffine& norm,
                                                        const at::Tensor& weight,
                                                        const at::Tensor& dy) {
  const int64_t channels = weight.size(1), out = weight.size(0), stride = features.stride(3);
  const Pieces pieces(features.size(0) * features.size(2) * features.size(3), channels);
  const rows::Backward values = norm.for_backward();
  const float* const from = features.const_data_ptr<float>();
  const float* const incoming = dy.const_data_ptr<float>();
  const float* const factors = weight.const_data_ptr<float>();
  float* const dx = values_.mutable_data_ptr<float>();
  std::vector<Buffers> of_thread(at::get_num_threads());
  const ChannelSums sums = sum_channels(
      pieces.count, /*pieces_in_float=*/1, channels,
      [&](int64_t piece, float* sum, float* product_sum) {
        Buffers& buffers = of_thread[at::get_thread_num()];
        if (!buffers.weight.defined()) {
          buffers = {at::empty({pieces.largest(), channels}),
                     at::empty({pieces.largest(), channels}), at::zeros({out, channels})};
        }
        float* const activated = buffers.activated.mutable_data_ptr<float>();
        float* const gradient = buffers.gradient.mutable_data_ptr<float>();
        const int64_t first = pieces.first(piece), count = pieces.first(piece + 1) - first;
        const float* const x = from + first * stride;
        const float* const g = incoming + first * out;
        rows::norm_relu(x, stride, values.affine, activated, count, channels);
        product({g, 1, out}, {activated, channels},
                {buffers.weight.mutable_data_ptr<float>(), channels}, out, count, channels,
                /*add=*/true);
        product({g, out, 1}, {factors, channels}, {gradient, channels}, count, out, channels,
                /*add=*/false);
        rows::add_norm_relu_backward(x, stride, gradient, rows::Incoming(), values,
                                     dx + first * stride, sum, product_sum, count, channels);
      });
  at::Tensor dweight;
  for (const Buffers& buffers : of_thread) {
    if (buffers.weight.defined())
      dweight = dweight.defined() ? dweight.add_(buffers.weight) : buffers.weight;
  }
  return {add_shared_terms_of(norm, sums), dweight};
}

bool norm_relu_product_applies(const at::Tensor& features, const at::Tensor& weight) {
  return features.is_cpu() && features.scalar_type() == at::kFloat &&
         weight.size(0) % product_step == 0 && weight.size(1) % product_step == 0;
}

}  // namespace distill
