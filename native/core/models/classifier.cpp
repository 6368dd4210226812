#include "core/models/classifier.h"

#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/nn/weights.h"

namespace distill {
namespace {

[[noreturn]] void refuse(const std::string& code, const Checkpoint& checkpoint,
                         const std::string& expected) {
  std::string names;
  for (size_t i = 0; i < checkpoint.tensors().size() && i < 3; ++i) {
    names += (i ? ", '" : "'") + checkpoint.tensors()[i].name + "'";
  }
  throw Error(code, "'" + checkpoint.path() + "' holds " +
                        std::to_string(checkpoint.tensors().size()) + " tensors (" + names +
                        ", …), which are not those of " + expected);
}

DenseNet load_densenet(const Checkpoint& checkpoint, const DenseNetShape& shape) {
  DenseNet model(shape.variant, shape.classes);
  load_weights(model.state(), checkpoint,
               shape.variant.name + " with " + std::to_string(shape.classes) + " classes");
  return model;
}

Student load_student(const Checkpoint& checkpoint) {
  const auto classes = student_classes(checkpoint);
  if (!classes) {
    refuse("ERR_MODEL_ARCHITECTURE", checkpoint,
           "a student that this package trains or a DenseNet");
  }
  Student student(*classes);
  load_weights(student.state(), checkpoint,
               "a student with " + std::to_string(*classes) + " classes");
  return student;
}

Classifier::Model load_model(const std::string& path, const Compute& compute) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  if (const auto shape = densenet_shape(checkpoint))
    return FrozenDenseNet(load_densenet(checkpoint, *shape), compute);
  Student student = load_student(checkpoint);
  move_weights(student.state(), compute.device);
  return student;
}

}  // namespace

std::optional<Architecture> recognize(const Checkpoint& checkpoint) {
  if (const auto shape = densenet_shape(checkpoint)) {
    return Architecture{shape->variant.name, shape->classes};
  }
  if (const auto classes = student_classes(checkpoint)) return Architecture{"student", *classes};
  return std::nullopt;
}

DenseNet load_teacher(const std::string& path) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  const auto shape = densenet_shape(checkpoint);
  if (!shape) {
    refuse("ERR_TEACHER_ARCHITECTURE", checkpoint,
           "a torchvision DenseNet 121, 161, 169 or 201; give one of these as teacher");
  }
  return load_densenet(checkpoint, *shape);
}

StateDict load_model_weights(const Checkpoint& checkpoint) {
  if (const auto shape = densenet_shape(checkpoint)) {
    return load_densenet(checkpoint, *shape).state();
  }
  return load_student(checkpoint).state();
}

Classifier::Classifier(Model model, const Preprocessing& preprocessing, const Compute& compute)
    : device_(compute.device),
      normalize_(preprocessing, compute.device, compute.dtype),
      model_(std::move(model)),
      step_(compute.device, [this](const ReplayedStep::Inputs& pixels) {
        const at::Tensor images = normalize_(pixels[0]);
        return std::visit([&](const auto& model) { return model.forward(images); }, model_);
      }) {}

Classifier::Classifier(const std::string& path, const Preprocessing& preprocessing,
                       const Compute& compute)
    : Classifier(load_model(path, compute), preprocessing, compute) {}

at::Tensor Classifier::logits(const at::Tensor& pixels) {
  const c10::NoGradGuard no_grad;
  return step_({upload(pixels, device_)}).to(at::kCPU).contiguous();
}

}  // namespace distill
