#include "core/kernels/winograd.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "core/kernels/winograd_tiles.h"

namespace distill {
namespace {

using winograd::Convolution;

// Floats of transformed tiles that stay in a second-level cache of 1 MiB beside the weights.
constexpr int64_t block_floats = 160 * 1024;
constexpr int64_t most_tiles = 96;

int64_t tiles_in_block(int64_t channels) {
  const int64_t floats = winograd::positions * (channels + winograd::channel_step);
  return std::clamp<int64_t>(block_floats / floats, 1, most_tiles);
}

at::Tensor scratch(int64_t floats) {
  return at::empty({floats});  // from what the last step has freed
}

at::Tensor empty_channels_last(int64_t batch, int64_t channels, int64_t height, int64_t width) {
  return at::empty({batch, channels, height, width},
                   at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
}

// y = the convolution of x with weights that have been transformed.
at::Tensor convolve(const at::Tensor& x, const at::Tensor& transformed, int64_t out) {
  const Convolution c{x.size(0), x.size(2), x.size(3), x.size(1), out};
  const at::Tensor y = empty_channels_last(c.batch, out, c.height, c.width);
  const at::Tensor bias = at::zeros({out});
  const float* from = x.const_data_ptr<float>();
  const float* weights = transformed.const_data_ptr<float>();
  const float* offsets = bias.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  const int64_t tiles = c.tiles(), threads = at::get_num_threads();
  int64_t blocks = (tiles + tiles_in_block(c.in) - 1) / tiles_in_block(c.in);
  blocks = std::min((blocks + threads - 1) / threads * threads, tiles);
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor own = scratch(convolve_scratch_size(c, (tiles + blocks - 1) / blocks));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * tiles / blocks, last = (i + 1) * tiles / blocks;
      winograd::convolve(c, from, weights, offsets, to, {first, last - first},
                         own.mutable_data_ptr<float>());
    }
  });
  return y;
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight) {
  const int64_t in = weight.size(1), out = weight.size(0);
  const at::Tensor transformed = scratch(winograd::transformed_weight_size(in, out));
  const float* from = weight.const_data_ptr<float>();
  float* to = transformed.mutable_data_ptr<float>();
  at::parallel_for(0, winograd::weight_lines(in, out), 1, [&](int64_t begin, int64_t end) {
    winograd::transform_weight(from, in, out, begin, end, to);
  });
  return convolve(x, transformed, out);
}

// The convolution of dy with the weights turned by 180 degrees, in and out swapped.
at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& weight) {
  const int64_t in = weight.size(0), out = weight.size(1);
  const at::Tensor transformed = scratch(winograd::transformed_weight_size(in, out));
  const float* from = weight.const_data_ptr<float>();
  float* to = transformed.mutable_data_ptr<float>();
  at::parallel_for(0, winograd::weight_lines(in, out), 1, [&](int64_t begin, int64_t end) {
    winograd::transform_turned_weight(from, in, out, begin, end, to);
  });
  return convolve(dy, transformed, out);
}

at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy) {
  const Convolution c{x.size(0), x.size(2), x.size(3), x.size(1), dy.size(1)};
  // Each thread has channels of dy for itself; where there are more threads, also a part of the
  // tiles, whose sums are added at the end.
  const int64_t tiles = c.tiles(), threads = at::get_num_threads();
  const int64_t channel_blocks = c.out / winograd::channel_step;
  const int64_t channel_parts = std::min(threads, channel_blocks);
  const int64_t tile_parts = std::clamp<int64_t>(threads / channel_parts, 1, tiles);
  const int64_t part_size = winograd::positions * c.in * c.out;
  const at::Tensor sums = scratch(tile_parts * part_size);
  const float* from_x = x.const_data_ptr<float>();
  const float* from_dy = dy.const_data_ptr<float>();
  float* sum = sums.mutable_data_ptr<float>();
  at::parallel_for(0, channel_parts * tile_parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t channel_part = part % channel_parts, tile_part = part / channel_parts;
      const auto channel = [&](int64_t i) {
        return i * channel_blocks / channel_parts * winograd::channel_step;
      };
      const int64_t first_channel = channel(channel_part);
      const winograd::ChannelRange channels{first_channel,
                                            channel(channel_part + 1) - first_channel};
      const int64_t begin_tile = tile_part * tiles / tile_parts;
      const int64_t count = (tile_part + 1) * tiles / tile_parts - begin_tile;
      const int64_t blocks = (count + tiles_in_block(c.in) - 1) / tiles_in_block(c.in);
      const at::Tensor own =
          scratch(weight_gradient_scratch_size(c, (count + blocks - 1) / blocks));
      for (int64_t i = 0; i < blocks; ++i) {
        const int64_t first = i * count / blocks, last = (i + 1) * count / blocks;
        winograd::add_weight_gradient(
            c, from_x, from_dy, {begin_tile + first, last - first}, channels, /*first=*/i == 0,
            sum + tile_part * part_size + first_channel * winograd::positions * c.in,
            own.mutable_data_ptr<float>());
      }
    }
  });
  const at::Tensor dweight = empty_channels_last(c.out, c.in, 3, 3);
  float* result = dweight.mutable_data_ptr<float>();
  at::parallel_for(0, c.out, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      winograd::finish_weight_gradient(c.in, sum, tile_parts, part_size, o, result + o * 9 * c.in);
    }
  });
  return dweight;
}

class WinogradConvolution : public torch::autograd::Function<WinogradConvolution> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return distill::forward(x, weight);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    return {context->needs_input_grad(0) ? input_gradient(dy, saved[1]) : at::Tensor(),
            weight_gradient(saved[0], dy)};
  }
};

}  // namespace

bool winograd_applies(const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                      int64_t padding) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && weight.size(2) == 3 &&
         weight.size(3) == 3 && stride == 1 && padding == 1 &&
         weight.size(0) % winograd::channel_step == 0 &&
         weight.size(1) % winograd::channel_step == 0;
}

at::Tensor winograd_convolution(const at::Tensor& x, const at::Tensor& weight) {
  return WinogradConvolution::apply(x.contiguous(at::MemoryFormat::ChannelsLast),
                                    weight.contiguous(at::MemoryFormat::ChannelsLast));
}

}  // namespace distill
