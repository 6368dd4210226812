// Compares the addon's own kernels with plain ATen operators in double precision, and prints a line
// for each comparison: "ok …" or "FAILED …".

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <cstdio>
#include <limits>
#include <sstream>

#include "core/checkpoint/state_dict.h"
#include "core/data/normalize.h"
#include "core/device/memory.h"
#include "core/kernels/norm_relu.h"
#include "core/kernels/norm_relu_pool.h"
#include "core/kernels/stem.h"
#include "core/kernels/winograd.h"
#include "core/nn/layers.h"
#include "core/parallel/openmp.h"

using namespace distill;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

at::Tensor in_double(const at::Tensor& x) {
  return x.detach().to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  const at::Tensor x = at::randn(sizes).to(dtype);
  return sizes.size() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
}

// Equal but for rounding; NaN and infinity where the expected ones are.
void compare(const std::string& name, const at::Tensor& actual, const at::Tensor& expected,
             double tolerance) {
  const at::Tensor ours = in_double(actual), theirs = in_double(expected);
  const at::Tensor finite = theirs.masked_select(theirs.isfinite()).abs();
  const double scale = finite.numel() > 0 ? finite.max().item<double>() : 0;
  const bool same = ours.sizes() == theirs.sizes() &&
                    at::allclose(ours, theirs, tolerance, tolerance * std::max(scale, 1e-2),
                                 /*equal_nan=*/true);
  const double difference = at::nan_to_num(ours - theirs, 0, 0, 0).abs().max().item<double>();
  std::printf("%s %s: differs by %.0e of %.0e\n", same ? "ok" : "FAILED", name.c_str(), difference,
              scale);
}

// The same by the Euclidean norm of the difference, where each value errs by chance.
void compare_norms(const std::string& name, const at::Tensor& actual, const at::Tensor& expected,
                   double tolerance) {
  const at::Tensor theirs = in_double(expected);
  const double error =
      ((in_double(actual) - theirs).norm() / theirs.norm()).item<double>();  // NaN is no success
  std::printf("%s %s: differs by %.1e of its norm\n", error < tolerance ? "ok" : "FAILED",
              name.c_str(), error);
}

struct Case {
  std::vector<int64_t> sizes;  // (B, C, H, W)
  at::ScalarType dtype = at::kFloat;
  double poison = 0;  // put in the place of one value

  std::string name() const {
    std::ostringstream text;
    text << at::IntArrayRef(sizes) << ' ' << (dtype == at::kFloat ? "float32" : "bfloat16");
    if (poison != 0) text << " with " << poison;
    return text.str() + ", " + std::to_string(at::get_num_threads()) + " threads";
  }
  // The error of sums of thousands in float32, or of one rounding to bfloat16.
  double tolerance() const { return dtype == at::kFloat ? 2e-5 : 8e-3; }
  at::Tensor make() const {
    at::Tensor x = random(sizes, dtype);
    if (poison != 0) x[0][sizes[1] / 2][0][0] = poison;
    return x;
  }
};

void check_norm_relu_pool(const Case& given, Pool pool, bool training) {
  const std::string name = std::string("norm_relu_pool ") +
                           (pool == Pool::max2 ? "max" : "average") +
                           (training ? " training " : " evaluation ") + given.name();
  const int64_t channels = given.sizes[1];
  StateDict state;
  const BatchNorm2d norm(Scope(state), channels);
  norm.weight.copy_(random({channels}));  // of both signs
  norm.bias.copy_(random({channels}));
  norm.running_mean.copy_(random({channels}));
  norm.running_var.copy_(random({channels}).abs() + 0.1);
  norm.num_batches_tracked.zero_();
  const at::Tensor x = given.make(), input_bias = random({channels});

  const at::Tensor of_x = in_double(x).requires_grad_();
  const at::Tensor of_weight = in_double(norm.weight).requires_grad_();
  const at::Tensor of_bias = in_double(norm.bias).requires_grad_();
  const at::Tensor mean = in_double(norm.running_mean), var = in_double(norm.running_var);
  at::Tensor expected = at::batch_norm(of_x + in_double(input_bias).view({1, -1, 1, 1}), of_weight,
                                       of_bias, mean, var, training, BatchNorm2d::momentum,
                                       BatchNorm2d::eps, /*cudnn_enabled=*/false)
                            .relu();
  expected =
      pool == Pool::max2 ? at::max_pool2d(expected, 2) : at::adaptive_avg_pool2d(expected, {1, 1});

  const double tolerance = given.tolerance();
  for (const at::Tensor& leaf : {x, input_bias, norm.weight, norm.bias}) {
    at::Tensor(leaf).requires_grad_(training);
  }
  const at::Tensor y = norm_relu_pool(x, input_bias, norm, pool, training);
  compare(name, y, expected, tolerance);
  compare(name + ", running mean", norm.running_mean, mean, tolerance);
  compare(name + ", running variance", norm.running_var, var, tolerance);
  if (!training) return;

  const at::Tensor dy = random(y.sizes(), y.scalar_type());
  y.backward(dy);
  expected.backward(in_double(dy));
  compare(name + ", gradient of x", x.grad(), of_x.grad(), tolerance);
  compare(name + ", gradient of weight", norm.weight.grad(), of_weight.grad(), tolerance);
  compare(name + ", gradient of bias", norm.bias.grad(), of_bias.grad(), tolerance);
}

void check_norm_relu(const Case& given) {
  const int64_t channels = given.sizes[1];
  // The first channels of more, as in a dense block.
  std::vector<int64_t> sizes = given.sizes;
  sizes[1] += 5;
  at::Tensor x = random(sizes, given.dtype).narrow(1, 0, channels);
  if (given.poison != 0) x[0][channels / 2][0][0] = given.poison;
  const at::Tensor scale = random({channels}), shift = random({channels});
  const at::Tensor expected =
      (in_double(x) * in_double(scale).view({1, -1, 1, 1}) + in_double(shift).view({1, -1, 1, 1}))
          .relu();
  compare("norm_relu " + given.name(), norm_relu(x, {scale, shift}), expected, given.tolerance());
  if (sizes[2] < 2 || sizes[3] < 2) return;
  compare("norm_relu_average2 " + given.name(), norm_relu_average2(x, {scale, shift}),
          at::avg_pool2d(expected, 2, 2), given.tolerance());
}

void check_stem(int64_t out, const Case& given, bool training) {
  const std::string name = "stem of " + std::to_string(out) + " channels " +
                           (training ? "training " : "evaluation ") + given.name();
  StateDict state;
  const Conv2d convolution(Scope(state) / 0, given.sizes[1], out, 3, 1, 1, /*with_bias=*/true);
  const BatchNorm2d norm(Scope(state) / 1, out);
  convolution.weight.copy_(random(convolution.weight.sizes()) / 5);
  convolution.bias.copy_(random({out}));
  norm.weight.copy_(random({out}));
  norm.bias.copy_(random({out}));
  norm.running_mean.copy_(random({out}));
  norm.running_var.copy_(random({out}).abs() + 0.1);
  norm.num_batches_tracked.zero_();
  const at::Tensor images = given.make();

  const at::Tensor of_convolution = in_double(convolution.weight).requires_grad_();
  const at::Tensor of_weight = in_double(norm.weight).requires_grad_();
  const at::Tensor of_bias = in_double(norm.bias).requires_grad_();
  const at::Tensor mean = in_double(norm.running_mean), var = in_double(norm.running_var);
  const at::Tensor x =
      at::conv2d(in_double(images), of_convolution, in_double(convolution.bias), 1, 1);
  const at::Tensor expected = at::max_pool2d(
      at::batch_norm(x, of_weight, of_bias, mean, var, training, BatchNorm2d::momentum,
                     BatchNorm2d::eps, /*cudnn_enabled=*/false)
          .relu(),
      2);

  const double tolerance = given.tolerance();
  for (const at::Tensor& leaf : {convolution.weight, convolution.bias, norm.weight, norm.bias}) {
    at::Tensor(leaf).requires_grad_(training);
  }
  const at::Tensor y = stem(images, convolution, norm, training);
  compare(name, y, expected, tolerance);
  compare(name + ", running mean", norm.running_mean, mean, tolerance);
  compare(name + ", running variance", norm.running_var, var, tolerance);
  if (!training) return;

  const at::Tensor dy = random(y.sizes(), y.scalar_type());
  y.backward(dy);
  expected.backward(in_double(dy));
  compare(name + ", gradient of the convolution's weight", convolution.weight.grad(),
          of_convolution.grad(), tolerance);
  compare(name + ", gradient of weight", norm.weight.grad(), of_weight.grad(), tolerance);
  compare(name + ", gradient of bias", norm.bias.grad(), of_bias.grad(), tolerance);
}

void check_convolution(int64_t out, const Case& given) {
  const auto check = [&](const std::string& what, const at::Tensor& actual,
                         const at::Tensor& exact) {
    if (given.dtype == at::kFloat) return compare(what, actual, exact, given.tolerance());
    // The operands are rounded to bfloat16 after the transforms, which enlarge the error.
    compare_norms(what, actual, exact, 2e-2);
  };
  const int64_t in = given.sizes[1];
  const std::string name = "convolution to " + std::to_string(out) + " channels, " + given.name();
  const at::Tensor x = given.make().requires_grad_();
  const at::Tensor weight = random({out, in, 3, 3}).div_(3 * std::sqrt(in)).requires_grad_();
  const at::Tensor of_x = in_double(x).requires_grad_();
  const at::Tensor of_weight = in_double(weight).requires_grad_();
  const at::Tensor y = winograd_convolution(x, weight);
  const at::Tensor expected = at::conv2d(of_x, of_weight, /*bias=*/{}, 1, 1);
  check(name, y, expected);
  const at::Tensor dy = random(y.sizes(), y.scalar_type());
  y.backward(dy);
  expected.backward(in_double(dy));
  check(name + ", gradient of x", x.grad(), of_x.grad());
  check(name + ", gradient of weight", weight.grad(), of_weight.grad());
}

// A tile shares its sums: what is not finite spreads over the tiles that see it, and no further.
void check_poisoned_convolution(at::ScalarType dtype, double poison) {
  const Case given{{1, 32, 23, 23}, dtype, poison};
  const at::Tensor x = given.make(), weight = random({32, 32, 3, 3});
  const at::Tensor expected = at::conv2d(in_double(x), in_double(weight), /*bias=*/{}, 1, 1);
  const at::Tensor y = winograd_convolution(x, weight);
  const bool reached =
      at::logical_or(expected.isfinite(), y.isfinite().logical_not()).all().item<bool>();
  const at::Tensor away = y.slice(2, 5).isfinite().all();
  std::printf("%s convolution in %s with %f: not finite where it should be, and nowhere else\n",
              reached && away.item<bool>() ? "ok" : "FAILED", c10::toString(dtype), poison);
}

void check_normalizer(at::ScalarType dtype) {
  const Preprocessing preprocessing{33, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
  const at::Tensor pixels = at::randint(0, 256, {5, 33, 33, 3}, at::kByte);
  const at::Tensor indices = at::tensor({4, 0, 4}, at::kLong);
  const auto by_channel = [](const std::array<double, 3>& values) {
    return at::tensor(at::ArrayRef<double>(values), at::kFloat).view({1, 3, 1, 1});
  };
  const at::Tensor expected = pixels.index_select(0, indices)
                                  .permute({0, 3, 1, 2})
                                  .to(at::kFloat)
                                  .div(255)
                                  .sub(by_channel(preprocessing.mean))
                                  .div(by_channel(preprocessing.std))
                                  .to(dtype);
  const at::Tensor images = Normalizer(preprocessing, at::kCPU, dtype)(pixels, indices);
  const bool same = images.equal(expected) && images.is_contiguous(at::MemoryFormat::ChannelsLast);
  std::printf("%s normalize to %s, to the bit\n", same ? "ok" : "FAILED", c10::toString(dtype));
}

}  // namespace

int main() {
  keep_freed_memory();
  // As in the addon: the threads are its own.
  replace_openmp();
  const TeamLeader leader;
  at::manual_seed(1);
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const auto& sizes : std::vector<std::vector<int64_t>>{
               {2, 1, 2, 2}, {1, 3, 5, 7}, {3, 17, 9, 6}, {2, 64, 13, 17}, {4, 32, 28, 28}}) {
        for (const Pool pool : {Pool::max2, Pool::average}) {
          for (const bool training : {true, false}) {
            for (const double poison : {0.0, not_a_number, infinity, -infinity}) {
              check_norm_relu_pool({sizes, dtype, poison}, pool, training);
            }
          }
        }
        for (const double poison : {0.0, not_a_number, infinity}) {
          check_norm_relu({sizes, dtype, poison});
        }
      }
      check_norm_relu({{1, 40, 1, 1}, dtype});
      check_normalizer(dtype);
      for (const auto& [height, width] :
           std::vector<std::pair<int64_t, int64_t>>{{2, 2}, {3, 5}, {9, 6}, {32, 32}, {33, 75}}) {
        for (const int64_t batch : {1, 3}) {
          for (const bool training : {true, false}) {
            for (const double poison : {0.0, not_a_number, infinity}) {
              // Pictures are finite; of an infinite one the running mean would be NaN.
              if (training && poison == infinity) continue;
              check_stem(32, {{batch, 3, height, width}, dtype, poison}, training);
            }
            check_stem(96, {{batch, 3, height, width}, dtype}, training);
          }
        }
      }
      for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{
               {32, 32}, {32, 64}, {128, 32}, {96, 160}, {128, 256}}) {
        for (const auto& [height, width] : std::vector<std::pair<int64_t, int64_t>>{
                 {1, 1}, {2, 3}, {4, 4}, {5, 7}, {13, 17}, {28, 28}}) {
          for (const int64_t batch : {1, 3}) {
            check_convolution(out, {{batch, in, height, width}, dtype});
          }
        }
      }
      check_poisoned_convolution(dtype, not_a_number);
      check_poisoned_convolution(dtype, infinity);
    }
  }
  return 0;
}
