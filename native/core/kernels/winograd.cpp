#include "core/kernels/winograd.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "core/device/device.h"
#include "core/kernels/activation.h"
#include "core/kernels/winograd_tiles.h"

namespace distill {
namespace {

using namespace winograd;

constexpr auto channels_last = at::MemoryFormat::ChannelsLast;

// The index-th of `count` nearly equal parts.
Range part_of(Range whole, int64_t index, int64_t count) {
  return {whole.first + index * whole.count() / count,
          whole.first + (index + 1) * whole.count() / count};
}

// The number of blocks to cut tiles into, so that a transformed block takes half of a second-level
// cache of 1 MiB. A quarter or all of it is up to 15 % slower.
int64_t block_count(const Convolution& c, int64_t tiles) {
  constexpr int64_t cache_floats = 128 * 1024;
  const int64_t tile_floats = positions * (c.in + channel_block);
  const int64_t at_most = std::max<int64_t>(cache_floats / tile_floats, 1);
  return (tiles + at_most - 1) / at_most;
}

// Memory for the blocks of one thread, one after the other.
at::Tensor tile_scratch(const Convolution& c, int64_t tiles, int64_t blocks) {
  return at::empty({scratch_size(c, (tiles + blocks - 1) / blocks)});
}

// A convolution of x with a transformed weight, block by block of tiles: from reading x to writing
// y a block stays in the caches of one thread.
// transform: transform_weight or transform_turned_weight.
template <typename T>
at::Tensor convolve_blocks(const at::Tensor& x, int64_t out, const at::Tensor& weight,
                           decltype(transform_weight<T>)& transform) {
  const Convolution c{x.size(0), x.size(2), x.size(3), x.size(1), out};
  const at::Tensor transformed = at::empty({positions * c.in * out}, at::kFloat);
  const float* const plain = weight.const_data_ptr<float>();
  float* const weights = transformed.mutable_data_ptr<float>();
  at::parallel_for(0, weight_lines(c.in, out), 1, [&](int64_t begin, int64_t end) {
    transform(plain, c.in, out, {begin, end}, weights);
  });

  const at::Tensor y =
      at::empty({c.batch, out, c.height, c.width}, x.options().memory_format(channels_last));
  const T* const from = values_of<T>(x);
  T* const to = mutable_values_of<T>(y);
  // The same number for each thread.
  const int64_t threads = at::get_num_threads();
  const int64_t blocks =
      std::min((block_count(c, c.tiles()) + threads - 1) / threads * threads, c.tiles());
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor scratch = tile_scratch(c, c.tiles(), blocks);
    for (int64_t block = begin; block < end; ++block) {
      convolve(c, from, weights, to, part_of({0, c.tiles()}, block, blocks),
               scratch.mutable_data_ptr<float>());
    }
  });
  return y;
}

// Gives the same for the same number of threads.
template <typename T>
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy) {
  const Convolution c{x.size(0), x.size(2), x.size(3), x.size(1), dy.size(1)};
  const T* const x_data = values_of<T>(x);
  const T* const dy_data = values_of<T>(dy);
  // The threads share the blocks of out channels, for sums of their own that stay small enough for
  // the caches; if there are too few, also the tiles, whose sums are added at the end.
  const int64_t threads = at::get_num_threads();
  const int64_t channel_blocks = (c.out + channel_block - 1) / channel_block;
  const int64_t channel_parts = std::min(threads, channel_blocks);
  const int64_t tile_parts = std::min(threads / channel_parts, c.tiles());
  const at::Tensor all_sums = at::empty({tile_parts * positions * c.in * c.out});
  float* const sums = all_sums.mutable_data_ptr<float>();
  at::parallel_for(0, tile_parts * channel_parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const Range of_blocks = part_of({0, channel_blocks}, part % channel_parts, channel_parts);
      const Range channels{of_blocks.first * channel_block,
                           std::min(of_blocks.last * channel_block, c.out)};
      const int64_t tile_part = part / channel_parts;
      const Range tiles = part_of({0, c.tiles()}, tile_part, tile_parts);
      float* const to = sums + (tile_part * c.out + channels.first) * positions * c.in;
      const int64_t blocks = block_count(c, tiles.count());
      const at::Tensor scratch = tile_scratch(c, tiles.count(), blocks);
      for (int64_t i = 0; i < blocks; ++i) {
        add_weight_gradient(c, x_data, dy_data, part_of(tiles, i, blocks), channels,
                            /*start=*/i == 0, to, scratch.mutable_data_ptr<float>());
      }
    }
  });

  const at::Tensor dweight =
      at::empty({c.out, c.in, 3, 3}, x.options().dtype(at::kFloat).memory_format(channels_last));
  float* const result = dweight.mutable_data_ptr<float>();
  at::parallel_for(0, c.out, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      finish_weight_gradient<T>(c.in, c.out, sums, tile_parts, o, result + o * 9 * c.in);
    }
  });
  return dweight;
}

class WinogradConvolution : public torch::autograd::Function<WinogradConvolution> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return for_type_of(x, [&]<typename T>(T) {
      return convolve_blocks<T>(x, weight.size(0), weight, transform_weight<T>);
    });
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = gradients[0].contiguous(channels_last);
    return for_type_of(x, [&]<typename T>(T) -> torch::autograd::variable_list {
      // The gradient by x is dy's convolution with the turned weight.
      return {context->needs_input_grad(0)
                  ? convolve_blocks<T>(dy, weight.size(1), weight, transform_turned_weight<T>)
                  : at::Tensor(),
              weight_gradient<T>(x, dy)};
    });
  }
};

}  // namespace

bool winograd_applies(at::Device device, at::ScalarType dtype, const at::Tensor& weight,
                      int64_t stride, int64_t padding) {
  return device.is_cpu() && !(dtype == at::kBFloat16 && has_bf16_matrix_units()) &&
         weight.size(2) == 3 && weight.size(3) == 3 && stride == 1 && padding == 1 &&
         weight.size(0) % channel_step == 0 && weight.size(1) % channel_step == 0;
}

at::Tensor winograd_convolution(const at::Tensor& x, const at::Tensor& weight) {
  return WinogradConvolution::apply(x.contiguous(channels_last), weight.contiguous(channels_last));
}

}  // namespace distill
