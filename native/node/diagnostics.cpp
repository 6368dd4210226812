#include "node/diagnostics.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/models/registry.h"
#include "core/parallel/openmp.h"
#include "node/options.h"
#include "node/worker.h"

namespace distill::node {
namespace {

struct Rate {
  int64_t in_channels, out_channels, size;
  const char* pass;
  double flops, seconds;
};

// The median seconds of `repeats` runs, after one that warms up.
double seconds_of(int64_t repeats, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  work();
  std::vector<double> seconds;
  for (int64_t i = 0; i < std::max<int64_t>(repeats, 1); ++i) {
    const auto start = Clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

// Each of the student's convolutions by itself, on random values.
std::vector<Rate> measure_convolutions(int64_t batch, int64_t size, at::ScalarType dtype,
                                       int64_t repeats) {
  const c10::NoGradGuard no_grad;
  const auto random = [dtype](at::IntArrayRef shape) {
    return at::randn(shape).to(dtype).contiguous(at::MemoryFormat::ChannelsLast);
  };
  std::vector<Rate> rates;
  const auto student = find_architecture("cnn").create({/*classes=*/2});
  for (const auto& [name, like] : student->state()) {
    if (like.dim() != 4) continue;
    const int64_t out = like.size(0), in = like.size(1);
    const at::Tensor weight = random(like.sizes());
    const at::Tensor bias = at::randn({out}).to(dtype);
    const at::Tensor x = random({batch, in, size, size});
    const at::Tensor gradient = random({batch, out, size, size});
    const auto backward = [&](std::array<bool, 3> wanted) {
      at::convolution_backward(gradient, x, weight, at::OptionalIntArrayRef({out}),
                               /*stride=*/{1, 1},
                               /*padding=*/{1, 1}, /*dilation=*/{1, 1}, /*transposed=*/false,
                               /*output_padding=*/{0, 0}, /*groups=*/1, wanted);
    };
    const double flops = 2.0 * batch * size * size * like.numel();
    const auto add = [&](const char* pass, const std::function<void()>& work) {
      rates.push_back({in, out, size, pass, flops, seconds_of(repeats, work)});
    };
    add("forward", [&] { at::conv2d(x, weight, bias, /*stride=*/1, /*padding=*/1); });
    // No step computes the gradient by the pictures.
    if (rates.size() > 1) {
      add("inputGradient", [&] { backward({true, false, false}); });
    }
    add("weightGradient", [&] { backward({false, true, true}); });
    size /= 2;  // the pooling between two blocks
  }
  return rates;
}

Napi::Value convolution_rates(Worker& worker, const Napi::CallbackInfo& info) {
  const Fields options(info[0], "the call");
  const auto work =
      [batch = read_int(options, "batchSize", 1, 1'000'000), size = read_side(options, "imageSize"),
       dtype = read_named(options, "precision", dtypes), threads = read_threads(options),
       repeats = read_int(options, "repeats", 1, 1'000'000)](Channel&) {
        use_threads(threads);
        return measure_convolutions(batch, size, dtype, repeats);
      };
  options.refuse_others();
  return worker.run<std::vector<Rate>>(
      info.Env(), work, [](Napi::Env env, const std::vector<Rate>& rates) {
        auto list = Napi::Array::New(env, rates.size());
        for (uint32_t i = 0; i < rates.size(); ++i) {
          auto object = Napi::Object::New(env);
          object.Set("inChannels", static_cast<double>(rates[i].in_channels));
          object.Set("outChannels", static_cast<double>(rates[i].out_channels));
          object.Set("size", static_cast<double>(rates[i].size));
          object.Set("pass", rates[i].pass);
          object.Set("flops", rates[i].flops);
          object.Set("seconds", rates[i].seconds);
          list.Set(i, object);
        }
        return list;
      });
}

}  // namespace

void register_diagnostics(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, {{"convolutionRates", convolution_rates}});
}

}  // namespace distill::node
