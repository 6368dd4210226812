// Compares a DenseNet's stage in training, and the norm and ReLU of its stem, with plain ATen
// operators in double precision, and prints a line for each comparison: "ok …" or "FAILED …".

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/device/memory.h"
#include "core/kernels/norm_relu_train.h"
#include "core/models/dense_stage.h"
#include "core/nn/weights.h"
#include "core/parallel/openmp.h"

using namespace distill;

namespace {

using Layers = std::vector<DenseNet::DenseLayer>;
// The results of a step by name: output, gradients, running statistics.
using Step = std::vector<std::pair<std::string, at::Tensor>>;

at::Tensor random(at::IntArrayRef sizes) {
  const at::Tensor x = at::randn(sizes);
  return sizes.size() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
}

// The relative error of the whole tensor: rounding sometimes decides whether a ReLU passes a single
// value.
double difference(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return 1e9;
  const at::Tensor of = expected.to(at::kDouble);
  return ((actual.to(at::kDouble) - of).norm() / of.norm().clamp_min(1e-6)).item<double>();
}

// A model of its own: parameters and running statistics by name.
struct Model {
  StateDict state;
  Layers layers;
  std::optional<BatchNorm2d> last;

  Model(int64_t channels, int64_t growth, int64_t count) {
    const int64_t inner = 4 * growth;
    for (int64_t i = 0; i < count; ++i, channels += growth) {
      const Scope scope = Scope(state) / i;
      layers.push_back({BatchNorm2d(scope / "norm1", channels),
                        Conv2d(scope / "conv1", channels, inner, 1, 1, 0, false),
                        BatchNorm2d(scope / "norm2", inner),
                        Conv2d(scope / "conv2", inner, growth, 3, 1, 1, false)});
    }
    last.emplace(Scope(state) / "last", channels);
    for (const auto& [name, tensor] : state) {
      at::Tensor to = tensor;
      if (name.ends_with("tracked")) {
        to.zero_();
      } else {
        to.copy_(random(to.sizes()));  // norms of both signs
        if (to.dim() == 4) to.div_(std::sqrt(static_cast<double>(to[0].numel())));
        if (name.ends_with("var")) to.abs_().add_(0.1);
      }
    }
  }
  // The same in another precision, to compute with.
  void convert(at::ScalarType dtype) {
    for (const auto& [_, tensor] : state) {
      if (tensor.is_floating_point()) at::Tensor(tensor).set_data(tensor.to(dtype));
    }
  }
};

Step step(const Model& model, const at::Tensor& images,
          const std::function<at::Tensor(const at::Tensor&)>& forward) {
  const at::Tensor x = images.detach().clone().requires_grad_();
  for (at::Tensor parameter : trainable(model.state)) parameter.requires_grad_();
  const at::Tensor y = forward(x);
  at::manual_seed(2);
  y.backward(at::randn(y.sizes()).to(y.scalar_type()));
  Step found{{"output", y.detach()}, {"gradient of x", x.grad()}};
  for (const auto& [name, tensor] : model.state) {
    if (tensor.grad().defined()) {
      found.emplace_back("gradient of " + name, tensor.grad());
    } else if (!tensor.requires_grad()) {
      found.emplace_back(name, tensor);
    }
  }
  return found;
}

at::Tensor norm_relu_by_operators(const BatchNorm2d& norm, const at::Tensor& x) {
  at::Tensor(norm.num_batches_tracked).add_(1);
  return at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var,
                        /*training=*/true, BatchNorm2d::momentum, BatchNorm2d::eps,
                        /*cudnn_enabled=*/false)
      .relu();
}

// The same layer by layer, as in torchvision.
at::Tensor stage_by_operators(const Model& model, const at::Tensor& x, Pool pool) {
  at::Tensor features = x;
  for (const auto& [norm1, conv1, norm2, conv2] : model.layers) {
    const at::Tensor squeezed = conv1(norm_relu_by_operators(norm1, features));
    features = at::cat({features, conv2(norm_relu_by_operators(norm2, squeezed))}, 1);
  }
  const at::Tensor y = norm_relu_by_operators(*model.last, features);
  return pool == Pool::average2 ? at::avg_pool2d(y, 2, 2) : y.mean({2, 3});
}

// Float32 may differ by the error of sums of thousands; bfloat16 about as much as plain operators
// in bfloat16 do, whose rounding changes ReLUs as well.
void compare(const std::string& name, const Step& ours, const Step& exact, const Step& rounded) {
  const bool is_bf16 = !rounded.empty();
  for (size_t i = 0; i < exact.size(); ++i) {
    const double found = difference(ours[i].second, exact[i].second);
    const double limit = is_bf16 ? 2 * difference(rounded[i].second, exact[i].second) + 0.02 : 1e-4;
    std::printf("%s %s, %s: differs by %.0e, at most %.0e\n",
                ours[i].first == exact[i].first && found < limit ? "ok" : "FAILED", name.c_str(),
                exact[i].first.c_str(), found, limit);
  }
}

struct Case {
  std::vector<int64_t> sizes;  // of x: (B, C, H, W)
  int64_t growth, layers;

  void check(const char* what, at::ScalarType dtype,
             const std::function<at::Tensor(const Model&, const at::Tensor&)>& forward,
             const std::function<at::Tensor(const Model&, const at::Tensor&)>& by_operators) const {
    std::ostringstream name;
    name << what << ' ' << at::IntArrayRef(sizes) << " and " << layers << " layers of " << growth
         << (dtype == at::kFloat ? ", float32, " : ", bfloat16, ") << at::get_num_threads()
         << " threads";
    at::manual_seed(3);
    const at::Tensor x = random(sizes).to(dtype);
    const auto run = [&](at::ScalarType parameters, const at::Tensor& x, const auto& forward) {
      at::manual_seed(1);
      Model model(sizes[1], growth, layers);
      model.convert(parameters);
      return step(model, x, [&](const at::Tensor& x) { return forward(model, x); });
    };
    const Step exact = run(at::kDouble, x.to(at::kDouble), by_operators);
    const Step rounded = dtype == at::kFloat ? Step() : run(at::kFloat, x, by_operators);
    compare(name.str(), run(at::kFloat, x, forward), exact, rounded);
  }
};

}  // namespace

int main() {
  keep_freed_memory();
  // As in the addon: the threads are its own.
  replace_openmp();
  const TeamLeader leader;
  const std::vector<Case> cases = {{{2, 8, 2, 2}, 4, 2},     {{3, 5, 5, 7}, 3, 3},
                                   {{4, 32, 8, 8}, 32, 3},   {{9, 64, 1, 1}, 32, 2},
                                   {{2, 48, 13, 11}, 48, 2}, {{2, 64, 20, 20}, 32, 0}};
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const Case& given : cases) {
        for (const Pool pool : {Pool::average, Pool::average2}) {
          if (pool == Pool::average2 && given.sizes[2] == 1) continue;
          given.check(
              pool == Pool::average2 ? "stage average2" : "stage average", dtype,
              [&](const Model& model, const at::Tensor& x) {
                return dense_stage(x, model.layers, *model.last, pool);
              },
              [&](const Model& model, const at::Tensor& x) {
                return stage_by_operators(model, x, pool);
              });
        }
        Case alone = given;
        alone.layers = 0;
        alone.check(
            "norm_relu_train", dtype,
            [](const Model& model, const at::Tensor& x) { return norm_relu_train(x, *model.last); },
            [](const Model& model, const at::Tensor& x) {
              return norm_relu_by_operators(*model.last, x);
            });
      }
    }
  }
  return 0;
}
