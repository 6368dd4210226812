#include "core/models/student.h"

#include <c10/core/GradMode.h>

#include <cmath>

#include "core/error.h"
#include "core/kernels/convolution.h"
#include "core/kernels/norm_relu_pool.h"
#include "core/kernels/stem.h"
#include "core/models/shipped_graph.h"
#include "core/nn/weights.h"

namespace distill {
namespace {

// Of width 1: the channels of the first block, of which each next one has twice as many.
constexpr int64_t reference_channels = 32;

bool is_width(double width) {
  const double steps = width / Student::width_step;
  return steps == std::trunc(steps) && steps >= 1 && width <= Student::max_width;
}

// The channels of the first block, from which all others follow.
int64_t base_channels(double width) {
  if (!is_width(width)) {
    throw Error("ERR_MODEL_ARCHITECTURE", "there is no student of width " + std::to_string(width) +
                                              "; expected a multiple of 0.25 that is at most 8");
  }
  return static_cast<int64_t>(reference_channels * width);
}

// A student in evaluation mode. The copy shares its weights with the network that is trained.
class StudentEvaluator final : public Evaluator {
 public:
  explicit StudentEvaluator(const Student& student) : student_(student) {}

  at::Tensor features(const at::Tensor& images) const override {
    return student_.features(images, /*training=*/false);
  }
  at::Tensor forward(const at::Tensor& images) const override {
    return (*student_.head())(features(images));
  }
  void follow(const Network& network) override {
    const c10::NoGradGuard no_grad;
    for (const auto& [name, tensor] : network.state()) {
      const at::Tensor& own = student_.state().at(name);
      if (!own.is_same(tensor)) at::Tensor(own).copy_(tensor);
    }
  }

 private:
  Student student_;
};

}  // namespace

// features: 0 conv, 1 norm, 2 relu, 3 pool; 4 conv … 13 norm, 14 relu, 15 average pool.
// classifier: 0 linear, 1 relu, 2 dropout, 3 linear.
Student::Student(int64_t classes, double drop_rate, double width)
    : drop_rate_(drop_rate),
      blocks_(make_blocks(Scope(state_) / "features", base_channels(width))),
      hidden_(Scope(state_) / "classifier" / 0, 8 * base_channels(width), 4 * base_channels(width)),
      output_(Scope(state_) / "classifier" / 3, 4 * base_channels(width), classes) {}

std::vector<Student::Block> Student::make_blocks(const Scope& features, int64_t base) {
  std::vector<Block> blocks;
  int64_t in = 3;
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t out = base << i;
    blocks.push_back({Conv2d(features / (4 * i), in, out, /*kernel=*/3, /*stride=*/1, /*padding=*/1,
                             /*with_bias=*/true),
                      BatchNorm2d(features / (4 * i + 1), out)});
    in = out;
  }
  return blocks;
}

void Student::initialize(at::Generator generator) {
  for (Block& block : blocks_) {
    block.convolution.initialize(generator);
    block.norm.initialize();
  }
  hidden_.initialize(generator);
  output_.initialize(generator);
}

at::Tensor Student::features(const at::Tensor& images, bool training) const {
  at::Tensor x = images;  // (B, 3, S, S)
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Pool pool = i + 1 < blocks_.size() ? Pool::max2 : Pool::average;
    const auto& [convolution, norm] = blocks_[i];
    if (i == 0 && stem_applies(x.device(), convolution)) {
      x = stem(x, convolution, norm, training);
    } else if (x.is_cpu()) {
      x = norm_relu_pool(convolve_without_bias(x, convolution), convolution.bias, norm, pool,
                         training);
    } else {
      x = norm(convolution(x), training).relu_();
      x = pool == Pool::max2 ? at::max_pool2d(x, 2) : at::adaptive_avg_pool2d(x, {1, 1});
    }
  }
  return hidden_(x.flatten(1).to(at::kFloat)).relu_();  // (B, 256w) -> (B, 128w)
}

at::Tensor Student::forward(const at::Tensor& images, const at::Tensor& dropout) const {
  const at::Tensor x = features(images, /*training=*/true);
  return output_(dropout.defined() ? x * dropout : x);  // (B, classes)
}

at::Tensor Student::draw_dropout(int64_t pictures, at::Generator generator) const {
  if (drop_rate_ == 0) return {};
  const double keep = 1 - drop_rate_;
  return at::empty({pictures, hidden_.weight.size(0)})
      .bernoulli_(keep, std::move(generator))
      .div_(keep);
}

std::unique_ptr<Evaluator> Student::evaluator(const Compute& compute) {
  move_weights(state_, compute.device);
  return std::make_unique<StudentEvaluator>(*this);
}

std::string Student::exported_program() const {
  const double width = static_cast<double>(hidden_.weight.size(0)) / (4 * reference_channels);
  return shipped_graph(shipped_architecture("cnn").value(), classes(), width);
}

std::optional<StudentShape> student_shape(const Checkpoint& checkpoint) {
  const TensorEntry* first = checkpoint.find("features.0.weight");
  const TensorEntry* last = checkpoint.find("classifier.3.weight");
  if (!last || !plausible_classes(*last) || !checkpoint.find("features.12.weight")) return {};
  if (!first || first->shape.size() != 4) return {};
  const double width = static_cast<double>(first->shape[0]) / reference_channels;
  if (!is_width(width)) return {};
  return StudentShape{last->shape[0], width};
}

}  // namespace distill
