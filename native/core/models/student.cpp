#include "core/models/student.h"

#include <c10/core/GradMode.h>

#include "core/kernels/convolution.h"
#include "core/kernels/norm_relu_pool.h"
#include "core/kernels/stem.h"
#include "core/nn/weights.h"

namespace distill {
namespace {

constexpr int64_t channels[] = {3, 32, 64, 128, 256};  // in and out of the four blocks
constexpr int64_t hidden_features = 128;

// A student in evaluation mode. The copy shares its weights with the network that is trained.
class StudentEvaluator final : public Evaluator {
 public:
  explicit StudentEvaluator(const Student& student) : student_(student) {}

  at::Tensor features(const at::Tensor& images) const override {
    return student_.features(images, /*training=*/false);
  }
  at::Tensor forward(const at::Tensor& images) const override {
    return student_.head()(features(images));
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
Student::Student(int64_t classes, double drop_rate)
    : drop_rate_(drop_rate),
      blocks_(make_blocks(Scope(state_) / "features")),
      hidden_(Scope(state_) / "classifier" / 0, channels[4], hidden_features),
      output_(Scope(state_) / "classifier" / 3, hidden_features, classes) {}

std::vector<Student::Block> Student::make_blocks(const Scope& features) {
  std::vector<Block> blocks;
  for (int64_t i = 0; i < 4; ++i) {
    blocks.push_back({Conv2d(features / (4 * i), channels[i], channels[i + 1], /*kernel=*/3,
                             /*stride=*/1, /*padding=*/1, /*with_bias=*/true),
                      BatchNorm2d(features / (4 * i + 1), channels[i + 1])});
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
    if (x.is_cpu() && i == 0) {
      x = stem(x, convolution, norm, training);
    } else if (x.is_cpu()) {
      x = norm_relu_pool(convolve_without_bias(x, convolution), convolution.bias, norm, pool,
                         training);
    } else {
      x = norm(convolution(x), training).relu_();
      x = pool == Pool::max2 ? at::max_pool2d(x, 2) : at::adaptive_avg_pool2d(x, {1, 1});
    }
  }
  return hidden_(x.flatten(1).to(at::kFloat)).relu_();  // (B, 256) -> (B, 128)
}

at::Tensor Student::forward(const at::Tensor& images, const at::Tensor& dropout) const {
  const at::Tensor x = features(images, /*training=*/true);
  return output_(dropout.defined() ? x * dropout : x);  // (B, classes)
}

at::Tensor Student::draw_dropout(int64_t pictures, at::Generator generator) const {
  if (drop_rate_ == 0) return {};
  const double keep = 1 - drop_rate_;
  return at::empty({pictures, hidden_features}).bernoulli_(keep, std::move(generator)).div_(keep);
}

std::unique_ptr<Evaluator> Student::evaluator(const Compute& compute) {
  move_weights(state_, compute.device);
  return std::make_unique<StudentEvaluator>(*this);
}

std::optional<int64_t> student_classes(const Checkpoint& checkpoint) {
  const TensorEntry* last = checkpoint.find("classifier.3.weight");
  if (!last || !plausible_classes(*last) || !checkpoint.find("features.12.weight")) return {};
  return last->shape[0];
}

}  // namespace distill
