#pragma once

#include <ATen/ATen.h>

namespace distill {

// As torch.autocast while it lives, if the images are bfloat16: convolutions and matrix products
// compute in it, and what loses by it in float32 (docs.pytorch.org/docs/stable/amp.html).
class Autocast {
 public:
  explicit Autocast(const at::Tensor& images);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool is_active_;
};

}  // namespace distill
