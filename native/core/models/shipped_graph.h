#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

// A file of native/core/models/architectures/, which scripts/architectures.py writes and describes.
struct ShippedFile {
  std::string_view name;  // of the architecture, such as "resnet18"
  std::string_view text;
};

// All of them, in the order of CMakeLists.txt. They are part of the addon.
const std::vector<ShippedFile>& shipped_files();

// The text of an architecture's file; none where there is none of this name.
std::optional<std::string_view> shipped_architecture(std::string_view name);

// A parameter or buffer of a network.
struct ShippedTensor {
  static constexpr int64_t classes = -1;  // stands for the number of classes in a shape

  std::string name;
  std::vector<int64_t> shape;
};

// The parameters and buffers in the state dict's order.
std::vector<ShippedTensor> shipped_tensors(std::string_view text);

// An in-place operator that fills a tensor: "fill_" with a value, "uniform_" between two bounds, or
// "normal_" of a mean and a standard deviation.
struct ShippedDraw {
  std::string operation;
  std::string tensor;
  std::vector<double> numbers;
};

// The operators by which the constructor fills the tensors, in order.
std::vector<ShippedDraw> shipped_draws(std::string_view text, int64_t classes);

// The graph for a number of classes, as torch.export.save() writes it (models/model.json). width:
// all channels of the weights times this; of "cnn" alone, whose calls name no channels.
std::string shipped_graph(std::string_view text, int64_t classes, double width = 1);

}  // namespace distill
