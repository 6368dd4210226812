#include "core/kernels/stem.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/kernels/activation.h"
#include "core/kernels/batch_norm.h"
#include "core/kernels/channel_sums.h"
#include "core/kernels/stem_rows.h"

namespace distill {
namespace {

using namespace stem_rows;

constexpr auto channels_last = at::MemoryFormat::ChannelsLast;

// A batch of pictures as floats with a border of zeros.
struct Padded {
  explicit Padded(at::Tensor values)  // (B, H + 2, (W + 2) * 3)
      : batch(values.size(0)),
        height(values.size(1) - 2),
        width(values.size(2) / 3 - 2),
        values(std::move(values)) {}

  int64_t step() const { return (width + 2) * 3; }
  int64_t pixels() const { return batch * height * width; }
  int64_t pooled_rows() const { return batch * (height / 2); }
  const float* row(int64_t picture, int64_t y) const {  // y: from -1 to height
    return values.const_data_ptr<float>() + (picture * (height + 2) + y + 1) * step();
  }
  // The four rows that the results behind a pooled row read.
  void rows_of_pooled(int64_t index, const float* (&rows)[4]) const {
    const int64_t picture = index / (height / 2), y = index % (height / 2) * 2;
    for (int r = 0; r < 4; ++r) rows[r] = row(picture, y - 1 + r);
  }

  int64_t batch, height, width;
  at::Tensor values;
};

Padded pad(const at::Tensor& images) {
  const Padded padded(
      at::empty({images.size(0), images.size(2) + 2, (images.size(3) + 2) * 3}, at::kFloat));
  const int64_t height = padded.height, width = padded.width;
  for_type_of(images, [&]<typename T>(T) {
    const T* from = values_of<T>(images);
    float* to = padded.values.mutable_data_ptr<float>();
    at::parallel_for(0, padded.batch * (height + 2), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t picture = i / (height + 2), y = i % (height + 2) - 1;
        float* const row = to + i * padded.step();
        if (y < 0 || y == height) {
          std::fill_n(row, padded.step(), 0.0f);
        } else {
          pad_row(from + (picture * height + y) * width * 3, width, row);
        }
      }
    });
  });
  return padded;
}

// s = Σ p and P = Σ p pᵀ over all pixels.
struct PatchSums {
  double products[taps][taps];
  double sums[taps];
};

// A patch's three rows of taps are rows of the picture, so P is made of the products of each row
// with itself and the two below it. What the first and the last rows of taps see of these lacks the
// picture's last and its first row.
PatchSums patch_sums(const Padded& images) {
  constexpr int64_t size = row_taps * line;
  const int64_t last = images.height - 1;
  const std::vector<double> all =
      sum_pieces(images.batch * images.height, /*pieces_in_float=*/1, size, /*scratch_size=*/0,
                 [&](int64_t row, float* sums, float*) {
                   const int64_t picture = row / images.height, y = row % images.height;
                   patch_products({images.row(picture, y), images.row(picture, y + 1),
                                   images.row(picture, std::min(y + 2, images.height))},
                                  images.width, sums);
                 });
  const auto of_row = [&](int64_t y) {
    return sum_pieces(images.batch, /*pieces_in_float=*/1, size, /*scratch_size=*/0,
                      [&](int64_t picture, float* sums, float*) {
                        const float* const row = images.row(picture, y);
                        patch_products({row, row, row}, images.width, sums);
                      });
  };
  const std::vector<double> of_first = of_row(0), of_last = of_row(last);

  PatchSums result;
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = i; j < 3; ++j) {
      for (int64_t k = 0; k < row_taps; ++k) {
        for (int64_t l = 0; l < row_taps; ++l) {
          double product = all[k * line + (j - i) * row_taps + l];
          if (i == 0 && j == 0) product -= of_last[k * line + l];
          if (i == 2 && j == 2) product -= of_first[k * line + l];
          result.products[i * row_taps + k][j * row_taps + l] = product;
          result.products[j * row_taps + l][i * row_taps + k] = product;
        }
      }
    }
    for (int64_t k = 0; k < row_taps; ++k) {
      double sum = all[k * line + taps];
      if (i == 0) sum -= of_last[k * line + taps];
      if (i == 2) sum -= of_first[k * line + taps];
      result.sums[i * row_taps + k] = sum;
    }
  }
  return result;
}

// (out, 3, 3, 3) -> (taps, out)
at::Tensor by_taps(const at::Tensor& weight) {
  return weight.permute({2, 3, 1, 0}).reshape({taps, weight.size(0)}).contiguous();
}

// w·v of one out channel. weight: (taps, out)
double dot(const float* weight, int64_t out, int64_t channel, const double* v) {
  double sum = 0;
  for (int64_t k = 0; k < taps; ++k) sum += double{weight[k * out + channel]} * v[k];
  return sum;
}

// P w
std::array<double, taps> product(const PatchSums& patches, const float* weight, int64_t out,
                                 int64_t channel) {
  std::array<double, taps> result;
  for (int64_t k = 0; k < taps; ++k) result[k] = dot(weight, out, channel, patches.products[k]);
  return result;
}

ChannelMoments moments_of(const PatchSums& patches, const at::Tensor& weight, int64_t pixels) {
  const int64_t out = weight.size(1);
  const float* w = weight.const_data_ptr<float>();
  ChannelMoments moments{std::vector<double>(out), std::vector<double>(out),
                         static_cast<double>(pixels)};
  for (int64_t c = 0; c < out; ++c) {
    const double mean = dot(w, out, c, patches.sums) / moments.count;
    const double square = dot(w, out, c, product(patches, w, out, c).data());
    moments.mean[c] = mean;
    moments.var[c] = clamp_variance(square / moments.count - mean * mean);
  }
  return moments;
}

// winners: uint8 like the result, or undefined where not wanted.
at::Tensor forward(const Padded& images, const at::Tensor& weight, const rows::Affine& affine,
                   at::ScalarType dtype, const at::Tensor& winners) {
  const int64_t out = weight.size(1), height = images.height / 2, width = images.width / 2;
  const at::Tensor y = at::empty({images.batch, out, height, width},
                                 at::TensorOptions(dtype).memory_format(channels_last));
  const float* w = weight.const_data_ptr<float>();
  uint8_t* winner = winners.defined() ? winners.mutable_data_ptr<uint8_t>() : nullptr;
  for_type_of(y, [&]<typename T>(T) {
    T* to = mutable_values_of<T>(y);
    at::parallel_for(0, images.pooled_rows(), 1, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(scratch_size(out));
      for (int64_t i = begin; i < end; ++i) {
        const float* rows[4];
        images.rows_of_pooled(i, rows);
        convolve(rows, w, affine, to + i * width * out, winner ? winner + i * width * out : nullptr,
                 width, out, scratch.data());
      }
    });
  });
  return y;
}

struct Gradients {
  at::Tensor convolution_weight, weight, bias;
};

// The formulas of stem.h.
Gradients backward(const Padded& images, const PatchSums& patches, const at::Tensor& dy,
                   const at::Tensor& winners, const at::Tensor& weight, const at::Tensor& scale,
                   const at::Tensor& inverse_std) {
  const int64_t out = weight.size(1), width = images.width / 2;
  const std::vector<double> sums = for_type_of(dy, [&]<typename T>(T) {
    const T* from = values_of<T>(dy);
    const uint8_t* winner = winners.const_data_ptr<uint8_t>();
    return sum_pieces(images.pooled_rows(), /*pieces_in_float=*/1, (taps + 1) * out,
                      scratch_size(out), [&](int64_t i, float* row_sums, float* scratch) {
                        const float* rows[4];
                        images.rows_of_pooled(i, rows);
                        add_products(rows, from + i * width * out, winner + i * width * out, width,
                                     out, row_sums, row_sums + taps * out, scratch);
                      });
  });

  const Gradients gradients{
      at::empty({out, 3, 3, 3}, at::TensorOptions(at::kFloat).memory_format(channels_last)),
      at::empty({out}), at::empty({out})};
  const float* w = weight.const_data_ptr<float>();
  const auto count = static_cast<double>(images.pixels());
  for (int64_t c = 0; c < out; ++c) {
    std::array<double, taps> of_winners;  // D
    for (int64_t k = 0; k < taps; ++k) of_winners[k] = sums[k * out + c];
    const double sum = sums[taps * out + c], mean = dot(w, out, c, patches.sums) / count;
    const double std_inverse = inverse_std.const_data_ptr<float>()[c];
    const double product_sum =
        (dot(w, out, c, of_winners.data()) - mean * sum) * std_inverse;  // Σ g x̂
    gradients.bias.data_ptr<float>()[c] = static_cast<float>(sum);
    gradients.weight.data_ptr<float>()[c] = static_cast<float>(product_sum);
    const std::array<double, taps> products = product(patches, w, out, c);
    for (int64_t k = 0; k < taps; ++k) {
      const double centered = products[k] - mean * patches.sums[k];
      gradients.convolution_weight.data_ptr<float>()[c * taps + k] = static_cast<float>(
          scale.const_data_ptr<float>()[c] * (of_winners[k] - patches.sums[k] * sum / count -
                                              centered * product_sum * std_inverse / count));
    }
  }
  return gradients;
}

class Stem : public torch::autograd::Function<Stem> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& images,
                            const at::Tensor& convolution_weight,
                            const at::Tensor& convolution_bias, const at::Tensor& /*weight*/,
                            const at::Tensor& /*bias*/, const BatchNorm2d& norm) {
    const Padded padded = pad(images);
    const at::Tensor by_tap = by_taps(convolution_weight);
    const PatchSums patches = patch_sums(padded);
    const ChannelMoments moments = moments_of(patches, by_tap, padded.pixels());
    move_running_statistics(norm, moments, convolution_bias);
    const auto [batch_moments, affine] = batch_affine(to_tensors(moments), norm);
    const at::Tensor winners =
        at::empty({padded.batch, padded.height / 2, padded.width / 2, by_tap.size(1)}, at::kByte);
    const at::Tensor kept_patches = at::empty({static_cast<int64_t>(sizeof(PatchSums))}, at::kByte);
    std::memcpy(kept_patches.mutable_data_ptr(), &patches, sizeof(patches));
    context->save_for_backward(
        {padded.values, kept_patches, winners, by_tap, affine.scale, batch_moments.inverse_std});
    return distill::forward(padded, by_tap, affine.values(), images.scalar_type(), winners);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    PatchSums patches;
    std::memcpy(&patches, saved[1].const_data_ptr(), sizeof(patches));
    const at::Tensor &winners = saved[2], &weight = saved[3], &scale = saved[4], &std = saved[5];
    const Gradients result =
        distill::backward(Padded(saved[0]), patches, gradients[0].contiguous(channels_last),
                          winners, weight, scale, std);
    return {at::Tensor(),
            result.convolution_weight,
            at::zeros({weight.size(1)}),
            result.weight,
            result.bias,
            at::Tensor()};
  }
};

}  // namespace

at::Tensor stem(const at::Tensor& images, const Conv2d& convolution, const BatchNorm2d& norm,
                bool training) {
  const at::Tensor input = images.contiguous(channels_last);
  if (training) {
    return Stem::apply(input, convolution.weight, convolution.bias, norm.weight, norm.bias, norm);
  }
  const Affine affine = running_affine(norm, convolution.bias);
  return forward(pad(input), by_taps(convolution.weight), affine.values(), input.scalar_type(),
                 /*winners=*/{});
}

bool stem_applies(at::Device device, const Conv2d& convolution) {
  return device.is_cpu() && convolution.weight.size(0) % channel_step == 0;
}

}  // namespace distill
