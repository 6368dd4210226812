#include "core/graph/limits.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

namespace distill {
namespace {

using Arguments = std::vector<c10::IValue>;

constexpr double most_side = 65'536;
constexpr double most_factor = 4'096;
constexpr double most_whole = 2'147'483'647;
// A ViT-H/14 at 518 x 518 pixels multiplies 2^40 times for a picture.
constexpr double work_of_picture = 1'099'511'627'776;
// An element that is computed by itself costs as much as so many multiplications of a matrix
// product.
constexpr double work_of_element = 64;

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

struct NamedBound {
  std::string_view argument;
  double least, most;
};

constexpr NamedBound known_bounds[] = {
    {"kernel_size", 1, most_side},
    {"stride", 1, most_side},
    {"dilation", 1, most_side},
    {"groups", 1, most_side},
    {"upscale_factor", 1, most_side},
    {"downscale_factor", 1, most_side},
    {"output_size", 0, most_side},
    {"output_padding", 0, most_side},
    {"padding", -most_side, most_side},
    {"pad", -most_side, most_side},
    {"chunks", 1, most_side},
    {"sections", 1, most_side},
    {"num_classes", -1, most_side * 16},
    {"repeats", 0, most_whole},
    {"diagonal", -most_whole, most_whole},
    {"offset", -most_whole, most_whole},
    {"scales", 1 / most_factor, most_factor},
    {"scales_h", 1 / most_factor, most_factor},
    {"scales_w", 1 / most_factor, most_factor},
    {"scale_factors", 1 / most_factor, most_factor},
    {"dropout_p", 0, 0},
};

void check_number(const c10::IValue& value, const ArgumentBound& bound) {
  if (value.isBool() || !value.isScalar()) return;
  const double number = value.toScalar().toDouble();
  if (number >= bound.least && number <= bound.most) return;
  if (bound.argument == "dropout_p") {
    refuse("it drops attention weights at random, which a model in evaluation mode does not");
  }
  std::ostringstream text;
  text << "its argument '" << bound.argument << "' is " << number << ", and not from "
       << bound.least << " to " << bound.most;
  refuse(text.str());
}

// The parts that a call cuts its tensor into; 0 for another call.
int64_t parts_of(const Call& call, const Arguments& arguments) {
  const auto find = [&](const char* name) -> const c10::IValue* {
    const auto i = call.position(name);
    return i ? &arguments[*i] : nullptr;
  };
  const c10::IValue *self = find("self"), *dim = find("dim");
  if (!self || !dim || !self->isTensor() || !dim->isInt()) return 0;
  const int64_t size = self->toTensor().size(dim->toInt());
  for (const char* name : {"split_size", "split_sizes"}) {
    const c10::IValue* split = find(name);
    if (!split) continue;
    if (split->isIntList()) return static_cast<int64_t>(split->toIntVector().size());
    if (!split->isInt() || split->toInt() <= 0) return 0;  // which ATen refuses
    return size / split->toInt() + (size % split->toInt() != 0);
  }
  for (const char* name : {"chunks", "sections"}) {
    if (const c10::IValue* count = find(name)) return count->isInt() ? count->toInt() : 0;
  }
  return size;  // unbind
}

at::Tensor tensor_at(const Arguments& arguments, size_t i) {
  return i < arguments.size() && arguments[i].isTensor() ? arguments[i].toTensor() : at::Tensor();
}

double elements(const at::Tensor& x) {
  return x.defined() ? static_cast<double>(x.numel()) : 0;
}

double side(const at::Tensor& x, int64_t dim) {
  const bool has = x.defined() && (dim < 0 ? -dim <= x.dim() : dim < x.dim());
  return has ? static_cast<double>(x.size(dim)) : 1;
}

// The numbers of an argument, one for each dimension, at least `otherwise` each.
std::vector<double> numbers(const Call& call, const Arguments& arguments, const char* name,
                            size_t count, double otherwise) {
  std::vector<double> values(count, otherwise);
  const auto i = call.position(name);
  if (!i || !arguments[*i].isIntList()) return values;
  const auto given = arguments[*i].toIntVector();
  for (size_t d = 0; d < count && !given.empty(); ++d) {
    values[d] = static_cast<double>(given[std::min(d, given.size() - 1)]);
  }
  return values;
}

// The places of a window over a picture, in all dimensions behind the first two.
double places(const Call& call, const Arguments& arguments, const at::Tensor& x) {
  const auto dims = static_cast<size_t>(std::max<int64_t>(x.dim() - 2, 0));
  const auto padding = numbers(call, arguments, "padding", dims, 0);
  auto stride = numbers(call, arguments, "stride", dims, 0);
  if (std::find(stride.begin(), stride.end(), 0) != stride.end()) {
    stride = numbers(call, arguments, "kernel_size", dims, 1);
  }
  double count = 1;
  for (size_t d = 0; d < dims; ++d) {
    count *= (side(x, static_cast<int64_t>(d) + 2) + 2 * padding[d]) / stride[d] + 1;
  }
  return count;
}

double convolution_work(const Call& call, const Arguments& arguments) {
  const at::Tensor x = tensor_at(arguments, 0), weight = tensor_at(arguments, 1);
  if (!x.defined() || !weight.defined()) return 0;
  const auto transposed = call.position("transposed");
  const bool is_transposed =
      call.name == "conv_transpose2d" ||
      (transposed && arguments[*transposed].isBool() && arguments[*transposed].toBool());
  if (is_transposed) return elements(x) * elements(weight) / std::max(side(weight, 0), 1.0);
  return side(x, 0) * elements(weight) * places(call, arguments, x);
}

double window_work(const Call& call, const Arguments& arguments) {
  const at::Tensor x = tensor_at(arguments, 0);
  if (!x.defined()) return 0;
  double work = side(x, 0) * side(x, 1) * places(call, arguments, x);
  const auto dims = static_cast<size_t>(std::max<int64_t>(x.dim() - 2, 0));
  const auto kernel = numbers(call, arguments, "kernel_size", dims, 1);
  for (size_t d = 0; d < dims; ++d) {
    work *= std::min(kernel[d], side(x, static_cast<int64_t>(d) + 2));
  }
  return work;
}

// Two tensors whose last dimensions are matrices, and whose others are broadcast.
double product_work(const at::Tensor& a, const at::Tensor& b) {
  double work = side(a, -2) * side(a, -1) * (b.defined() && b.dim() > 1 ? side(b, -1) : 1);
  const int64_t dims = std::max(a.defined() ? a.dim() : 0, b.defined() ? b.dim() : 0);
  for (int64_t d = 3; d <= dims; ++d) work *= std::max(side(a, -d), side(b, -d));
  return work;
}

double attention_work(const Arguments& arguments) {
  const at::Tensor q = tensor_at(arguments, 0), k = tensor_at(arguments, 1);
  return 2 * product_work(q, k) / std::max(side(k, -1), 1.0) * side(k, -2);
}

// The product of the sizes of all letters of an equation such as "bnc,dc->bnd".
double einsum_work(const Arguments& arguments) {
  if (arguments.size() < 2 || !arguments[0].isString() || !arguments[1].isTensorList()) return 0;
  const auto tensors = arguments[1].toTensorVector();
  std::map<char, double> sizes;
  double others = 1;  // of dimensions behind an ellipsis
  size_t operand = 0;
  std::string letters;
  const auto end_operand = [&] {
    if (operand >= tensors.size()) return;
    const at::Tensor& x = tensors[operand++];
    double rest = elements(x);
    const size_t count = letters.size(), dots = letters.find('.');
    for (size_t i = 0; i < count; ++i) {
      if (letters[i] == '.') continue;
      const int64_t dim = dots < i ? static_cast<int64_t>(i) - static_cast<int64_t>(count)
                                   : static_cast<int64_t>(i);
      double& size = sizes[letters[i]];
      size = std::max(size, side(x, dim));
      rest /= std::max(side(x, dim), 1.0);
    }
    others = std::max(others, rest);
    letters.clear();
  };
  for (const char c : arguments[0].toStringRef()) {
    if (c == '-') break;
    if (c == ',') {
      end_operand();
    } else if (c != ' ') {
      letters += c;
    }
  }
  end_operand();
  double work = others;
  for (const auto& [letter, size] : sizes) work *= size;
  return work;
}

double multiplications(const Call& call, const Arguments& arguments) {
  switch (call.work) {
    case Work::convolution:
      return convolution_work(call, arguments);
    case Work::window:
      return window_work(call, arguments);
    case Work::linear:
      return elements(tensor_at(arguments, 0)) * side(tensor_at(arguments, 1), -2);
    case Work::product:
      return product_work(tensor_at(arguments, 0), tensor_at(arguments, 1));
    case Work::sum_of_product:
      return product_work(tensor_at(arguments, 1), tensor_at(arguments, 2));
    case Work::attention:
      return attention_work(arguments);
    case Work::einsum:
      return einsum_work(arguments);
    case Work::elements:
      break;
  }
  return 0;
}

}  // namespace

Work work_of(std::string_view name) {
  using enum Work;
  static const std::map<std::string_view, Work> known = {
      {"conv1d", convolution},
      {"conv2d", convolution},
      {"conv3d", convolution},
      {"convolution", convolution},
      {"conv_transpose2d", convolution},
      {"max_pool1d", window},
      {"max_pool2d", window},
      {"max_pool2d_with_indices", window},
      {"avg_pool1d", window},
      {"avg_pool2d", window},
      {"linear", linear},
      {"mm", product},
      {"bmm", product},
      {"matmul", product},
      {"addmm", sum_of_product},
      {"addmm_", sum_of_product},
      {"baddbmm", sum_of_product},
      {"scaled_dot_product_attention", attention},
      {"einsum", einsum},
  };
  const auto found = known.find(name);
  return found == known.end() ? elements : found->second;
}

std::vector<ArgumentBound> bounds_of(std::string_view name, const c10::FunctionSchema& schema) {
  std::vector<ArgumentBound> bounds;
  const auto& formals = schema.arguments();
  const bool slices = name.starts_with("slice") || name == "unfold";
  for (size_t i = 0; i < formals.size(); ++i) {
    const std::string& argument = formals[i].name();
    for (const NamedBound& bound : known_bounds) {
      if (argument == bound.argument)
        bounds.push_back({i, bound.argument, bound.least, bound.most});
    }
    if (slices && argument == "step") bounds.push_back({i, "step", 1, most_whole});
    if (name == "tile" && argument == "dims") bounds.push_back({i, "dims", 0, most_whole});
  }
  return bounds;
}

void check_arguments(const Call& call, const Arguments& arguments) {
  for (const ArgumentBound& bound : call.bounds) {
    const c10::IValue& value = arguments[bound.index];
    if (!value.isList()) {
      check_number(value, bound);
      continue;
    }
    if (value.isTensorList()) continue;
    for (const c10::IValue& item : value.toListRef()) check_number(item, bound);
  }
  if (!call.returns_list) return;
  const int64_t parts = parts_of(call, arguments), results = std::ssize(call.results);
  if (parts > results) {
    refuse("it cuts a tensor into " + std::to_string(parts) + " parts and has " +
           std::to_string(results) + " results");
  }
}

void check_fused(const Call& call, const Arguments& arguments) {
  const auto other = call.position("other");
  if (!other) return;
  const at::Tensor &x = arguments[*call.position("X")].toTensor(),
                   &sum = arguments[*other].toTensor(),
                   &weight = arguments[*call.position("W")].toTensor();
  const auto numbers_of = [&](const char* name) {
    auto numbers = arguments[*call.position(name)].toIntVector();
    numbers.resize(2, numbers.empty() ? 0 : numbers.front());
    return numbers;
  };
  const auto padding = numbers_of("padding"), stride = numbers_of("stride"),
             dilation = numbers_of("dilation");
  bool fits =
      x.dim() == 4 && sum.dim() == 4 && sum.size(0) == x.size(0) && sum.size(1) == weight.size(0);
  for (int64_t d = 0; fits && d < 2; ++d) {
    const int64_t window = dilation[d] * (weight.size(d + 2) - 1) + 1;
    fits = sum.size(d + 2) == (x.size(d + 2) + 2 * padding[d] - window) / stride[d] + 1;
  }
  if (!fits) refuse("it adds a tensor of other sizes than the file says");
}

WorkLimit::WorkLimit(int64_t pictures)
    : left_(static_cast<double>(pictures + 1) * work_of_picture),
      most_elements_(static_cast<int64_t>(evaluation_memory(pictures) / sizeof(float))) {}

void WorkLimit::add(double multiplications) {
  left_ -= multiplications;
  if (!(left_ >= 0)) refuse("it computes more than any classifier of pictures does");
}

void WorkLimit::add_call(const Call& call, const Arguments& arguments) {
  add(multiplications(call, arguments));
}

void WorkLimit::add_result(const c10::IValue& result) {
  if (!result.isTensor()) return;
  const int64_t count = result.toTensor().defined() ? result.toTensor().numel() : 0;
  if (count > most_elements_) {
    refuse("its result has " + std::to_string(count) + " elements, more than any classifier needs");
  }
  add(static_cast<double>(count) * work_of_element);
}

}  // namespace distill
