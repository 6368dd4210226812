#include "core/graph/fuse.h"

#include <ATen/Context.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/graph/convolution_3x3.h"
#include "core/kernels/winograd.h"

namespace distill {
namespace {

// An activation as oneDNN has it behind a convolution or a linear layer.
struct Activation {
  std::string name = "none";
  c10::List<std::optional<at::Scalar>> scalars;
  std::string algorithm;
};

std::optional<Activation> activation_of(const Call& call) {
  const auto number = [&](const char* argument) -> std::optional<double> {
    const c10::IValue& literal = call.argument(argument).literal;
    return literal.isScalar() ? std::optional(literal.toScalar().toDouble()) : std::nullopt;
  };
  const std::string name =
      call.name.ends_with('_') ? call.name.substr(0, call.name.size() - 1) : call.name;
  Activation activation;
  if (name == "relu" || name == "sigmoid" || name == "tanh" || name == "hardswish" ||
      name == "hardsigmoid") {
    activation.name = name;
  } else if (name == "silu") {
    activation.name = "swish";
  } else if (name == "gelu" && call.argument("approximate").literal.isString()) {
    activation.name = name;
    activation.algorithm = call.argument("approximate").literal.toStringRef();
  } else if (name == "relu6") {
    activation.name = "hardtanh";
    activation.scalars.push_back(at::Scalar(0.0));
    activation.scalars.push_back(at::Scalar(6.0));
  } else if (name == "hardtanh" && number("min_val") && number("max_val")) {
    activation.name = name;
    activation.scalars.push_back(at::Scalar(*number("min_val")));
    activation.scalars.push_back(at::Scalar(*number("max_val")));
  } else if (name == "leaky_relu" && number("negative_slope")) {
    activation.name = name;
    activation.scalars.push_back(at::Scalar(*number("negative_slope")));
  } else {
    return std::nullopt;
  }
  return activation;
}

std::optional<c10::OperatorHandle> mkldnn(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchema({std::string("mkldnn::") + name, overload});
}

bool is_false(const c10::IValue& value) {
  return value.isBool() && !value.toBool();
}

Operand literal(c10::IValue value) {
  Operand operand;
  operand.literal = std::move(value);
  return operand;
}

Operand value(ValueId id) {
  Operand operand;
  operand.value = id;
  return operand;
}

class Fuser {
 public:
  Fuser(const Program& program, const Executor::Tensors& tensors, const Compute& compute)
      : program_(program), compute_(compute), tensors_(program.values.size()) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      tensors_[program.bindings[i].value] = tensors[i].detach().to(compute.device);
    }
    look();
  }

  BoundProgram fuse() {
    for (size_t i = 0; i < program_.calls.size(); ++i) fold_norm(i);
    drop_gone();
    if (has_onednn()) {
      for (size_t i = 0; i < program_.calls.size(); ++i) {
        fuse_convolution(i);
        fuse_linear(i);
      }
      drop_gone();
    }
    return bind();
  }

 private:
  // Reads off who computes and who reads each value.
  void look() {
    readers_ = consumers(program_);
    producer_ = producers(program_);
    is_gone_.assign(program_.calls.size(), false);
  }

  void drop_gone() {
    std::vector<Call> kept;
    for (size_t i = 0; i < program_.calls.size(); ++i) {
      if (!is_gone_[i]) kept.push_back(std::move(program_.calls[i]));
    }
    program_.calls = std::move(kept);
    look();
  }

  bool has_onednn() const {
    const bool emulated = compute_.dtype == at::kBFloat16 && !multiplies_bf16();
    return compute_.device.is_cpu() && at::globalContext().userEnabledMkldnn() && !emulated &&
           mkldnn("_convolution_pointwise") && mkldnn("_convolution_pointwise", "binary") &&
           mkldnn("_reorder_convolution_weight") && mkldnn("_linear_pointwise") &&
           mkldnn("_reorder_linear_weight");
  }

  const at::Tensor* tensor_of(const Operand& operand) const {
    if (!operand.is_value() || !tensors_[operand.value].defined()) return nullptr;
    return &tensors_[operand.value];
  }

  Operand constant(at::Tensor tensor) {
    const auto id = static_cast<ValueId>(program_.values.size());
    program_.values.emplace_back();
    program_.sizes.emplace_back();
    tensors_.push_back(std::move(tensor));
    readers_.emplace_back();
    producer_.push_back(program_.calls.size());
    return value(id);
  }

  // The one call that reads a value that is not the output.
  std::optional<size_t> only_reader(ValueId id) const {
    if (id == program_.output || readers_[id].size() != 1) return std::nullopt;
    return readers_[id].front();
  }

  bool is_convolution(const Call& call) const {
    if (call.name != "conv2d" && call.name != "convolution") return false;
    const at::Tensor* weight = tensor_of(call.argument("weight"));
    const Operand& bias = call.argument("bias");
    return weight && weight->dim() == 4 && (!bias.is_value() || tensor_of(bias)) &&
           call.argument("stride").literal.isIntList() &&
           call.argument("padding").literal.isIntList() &&  // and not 'same'
           call.argument("dilation").literal.isIntList() &&
           call.argument("groups").literal.isInt() &&
           (call.name == "conv2d" || is_false(call.argument("transposed").literal));
  }

  // A convolution and the BatchNorm behind it become one convolution.
  void fold_norm(size_t i) {
    Call& norm = program_.calls[i];
    if (norm.kind != OperatorKind::batch_norm) return;
    const ValueId x = norm.argument("input").value;
    const at::Tensor *mean = tensor_of(norm.argument("running_mean")),
                     *variance = tensor_of(norm.argument("running_var"));
    if (!norm.argument("eps").literal.isDouble()) return;
    if (!mean || !variance || producer_[x] == program_.calls.size() || only_reader(x) != i) return;
    Call& convolution = program_.calls[producer_[x]];
    if (!is_convolution(convolution)) return;
    const auto in_double = [&](const Operand& operand, double otherwise) {
      const at::Tensor* tensor = tensor_of(operand);
      return tensor ? tensor->to(at::kDouble) : at::full_like(*mean, otherwise, at::kDouble);
    };
    const at::Tensor scale =
        in_double(norm.argument("weight"), 1) *
        (variance->to(at::kDouble) + norm.argument("eps").literal.toDouble()).rsqrt();
    const at::Tensor bias =
        in_double(norm.argument("bias"), 0) +
        (in_double(convolution.argument("bias"), 0) - mean->to(at::kDouble)) * scale;
    const at::Tensor& weight = *tensor_of(convolution.argument("weight"));
    convolution.argument("weight") =
        constant((weight.to(at::kDouble) * scale.view({-1, 1, 1, 1})).to(at::kFloat));
    convolution.argument("bias") = constant(bias.to(at::kFloat));
    convolution.results = norm.results;
    is_gone_[i] = true;
    producer_[norm.results.front()] = producer_[x];
  }

  // A sum of a convolution's result with a value that is there before it.
  std::optional<ValueId> addend(const Call& call, size_t convolution) const {
    if (call.name != "add" && call.name != "add_") return std::nullopt;
    const auto alpha = call.position("alpha");
    if (!alpha || !call.arguments[*alpha].literal.isScalar() ||
        call.arguments[*alpha].literal.toScalar().toDouble() != 1) {
      return std::nullopt;
    }
    const ValueId result = program_.calls[convolution].results.front();
    const Operand &self = call.argument("self"), &other = call.argument("other");
    const Operand& addend = self.value == result ? other : self;
    if (!addend.is_value() || tensor_of(addend) || addend.value == result) return std::nullopt;
    const bool changes_addend = call.name == "add_" && self.value != result;
    if (changes_addend) return std::nullopt;
    const size_t from = producer_[addend.value];
    const bool is_before = from == program_.calls.size() || from < convolution;
    const auto &one = program_.sizes[result], &another = program_.sizes[addend.value];
    return is_before && one.size() == 4 && one == another ? std::optional(addend.value)
                                                          : std::nullopt;
  }

  // True where a value is not read behind a call.
  bool is_last_reader(ValueId id, size_t call) const {
    return id != program_.output && std::all_of(readers_[id].begin(), readers_[id].end(),
                                                [&](size_t reader) { return reader <= call; });
  }

  // True for a result whose memory no other value shares.
  bool is_owned(ValueId id) const {
    const auto may_share = [&](size_t i) {
      const Call& call = program_.calls[i];
      if (call.kind == OperatorKind::fused || call.kind == OperatorKind::fused_3x3) return false;
      if (call.kind == OperatorKind::dropout || call.kind == OperatorKind::feature_dropout ||
          returns_input_unsaid(call.name)) {
        return true;
      }
      const auto& results = call.handle->schema().returns();
      return std::any_of(results.begin(), results.end(),
                         [](const auto& result) { return result.alias_info() != nullptr; });
    };
    const auto shares = [&](size_t reader) {
      return program_.calls[reader].handle && may_share(reader);  // sizes share nothing
    };
    return producer_[id] < program_.calls.size() && !may_share(producer_[id]) &&
           std::none_of(readers_[id].begin(), readers_[id].end(), shares);
  }

  // True where nothing between two calls changes a tensor in place: reading one of them earlier
  // gives the same.
  bool is_quiet(size_t from, size_t to) const {
    for (size_t i = from + 1; i < to; ++i) {
      if (program_.calls[i].is_in_place()) return false;
    }
    return true;
  }

  void fuse_convolution(size_t i) {
    Call& convolution = program_.calls[i];
    if (is_gone_[i] || !is_convolution(convolution)) return;
    std::optional<ValueId> sum;
    if (const auto next = only_reader(convolution.results.front())) {
      if ((sum = addend(program_.calls[*next], i)) && is_quiet(i, *next)) {
        std::replace(readers_[*sum].begin(), readers_[*sum].end(), *next, i);
        take_over(i, *next);
      } else {
        sum.reset();
      }
    }
    const at::Tensor given_weight = *tensor_of(convolution.argument("weight"));
    // In bfloat16 the direct way errs less.
    if (compute_.dtype == at::kFloat && has_winograd_steps(convolution) &&
        winograd_applies(compute_.device, compute_.dtype, given_weight, 1, 1)) {
      return fuse_3x3(i, sum);
    }
    const Activation activation = take_over_activation(i);
    const Operand x = convolution.argument("input"), stride = convolution.argument("stride"),
                  padding = convolution.argument("padding"),
                  dilation = convolution.argument("dilation"),
                  groups = convolution.argument("groups");
    // The strides of a 1x1 weight have to tell the layout, too: by them oneDNN's is chosen.
    const at::Tensor weight =
        at::empty(given_weight.sizes(),
                  at::TensorOptions(compute_.dtype).memory_format(at::MemoryFormat::ChannelsLast));
    weight.copy_(given_weight);
    const at::Tensor* given_bias = tensor_of(convolution.argument("bias"));
    const at::Tensor bias = given_bias ? given_bias->to(compute_.dtype) : at::Tensor();
    std::vector<c10::IValue> packed{weight,         padding.literal,
                                    stride.literal, dilation.literal,
                                    groups.literal, hint(x, weight, groups.literal.toInt())};
    mkldnn("_reorder_convolution_weight")->callBoxed(&packed);
    const Operand packed_weight = constant(packed.front().toTensor());
    const Operand packed_bias = bias.defined() ? constant(bias) : Operand();
    convolution.kind = OperatorKind::fused;
    convolution.name = "convolution";
    convolution.dtype = compute_.dtype;
    if (sum) {
      const Operand addend = value(*sum);
      const bool in_place = is_last_reader(*sum, i) && is_owned(*sum);
      convolution.handle =
          mkldnn(in_place ? "_convolution_pointwise_" : "_convolution_pointwise", "binary");
      convolution.arguments = {in_place ? addend : x,
                               in_place ? x : addend,
                               packed_weight,
                               packed_bias,
                               padding,
                               stride,
                               dilation,
                               groups,
                               literal("add"),
                               literal(at::Scalar(1.0)),
                               activation.name == "none" ? Operand() : literal(activation.name),
                               literal(activation.scalars),
                               literal(activation.algorithm)};
      convolution.inputs = 2;
    } else {
      convolution.handle = mkldnn("_convolution_pointwise");
      convolution.arguments = {x,
                               packed_weight,
                               packed_bias,
                               padding,
                               stride,
                               dilation,
                               groups,
                               literal(activation.name),
                               literal(activation.scalars),
                               literal(activation.algorithm)};
    }
  }

  void fuse_3x3(size_t i, std::optional<ValueId> sum) {
    Call& convolution = program_.calls[i];
    if (const auto next = only_reader(convolution.results.front())) {
      const std::string& name = program_.calls[*next].name;
      convolution.relu = name == "relu" || name == "relu_";
      if (convolution.relu) take_over(i, *next);
    }
    convolution.kind = OperatorKind::fused_3x3;
    convolution.arguments = {convolution.argument("input"), convolution.argument("weight"),
                             convolution.argument("bias"), sum ? value(*sum) : Operand()};
  }

  // The activation behind a call, which it does as well.
  Activation take_over_activation(size_t i) {
    const auto next = only_reader(program_.calls[i].results.front());
    const auto activation = next ? activation_of(program_.calls[*next]) : std::nullopt;
    if (activation) take_over(i, *next);
    return activation.value_or(Activation());
  }

  void fuse_linear(size_t i) {
    Call& linear = program_.calls[i];
    if (is_gone_[i] || linear.name != "linear") return;
    const at::Tensor* given_weight = tensor_of(linear.argument("weight"));
    const at::Tensor* given_bias = tensor_of(linear.argument("bias"));
    if (!given_weight || given_weight->dim() != 2 ||
        (linear.argument("bias").is_value() && !given_bias)) {
      return;
    }
    const at::Tensor bias = given_bias ? given_bias->to(compute_.dtype) : at::Tensor();
    std::vector<c10::IValue> packed{given_weight->to(compute_.dtype).contiguous(), c10::IValue()};
    mkldnn("_reorder_linear_weight")->callBoxed(&packed);
    const Activation activation = take_over_activation(i);
    const Operand weight = constant(packed.front().toTensor());
    const Operand packed_bias = bias.defined() ? constant(bias) : Operand();
    linear.kind = OperatorKind::fused;
    linear.dtype = compute_.dtype;
    linear.handle = mkldnn("_linear_pointwise");
    linear.arguments = {linear.arguments.front(),
                        weight,
                        packed_bias,
                        literal(activation.name),
                        literal(activation.scalars),
                        literal(activation.algorithm)};
  }

  // The sizes of a value as the file says, as a hint at the fastest layout of a weight.
  c10::IValue hint(const Operand& x, const at::Tensor& weight, int64_t groups) const {
    if (!x.is_value()) return {};
    constexpr int64_t usual_batch = 32;
    const auto& sizes = program_.sizes[x.value];
    if (sizes.size() != 4 || !sizes[1] || !sizes[2] || !sizes[3]) return {};
    // Sizes that do not fit the weight, oneDNN would not take.
    constexpr int64_t most = 65'536;
    bool fits = *sizes[1] == weight.size(1) * groups;
    for (int64_t d = 2; d < 4; ++d) fits &= *sizes[d] >= weight.size(d) && *sizes[d] <= most;
    if (!fits) return {};
    return std::vector<int64_t>{usual_batch, *sizes[1], *sizes[2], *sizes[3]};
  }

  // A call does the work of the next one as well.
  void take_over(size_t i, size_t next) {
    program_.calls[i].results = program_.calls[next].results;
    producer_[program_.calls[i].results.front()] = i;
    is_gone_[next] = true;
  }

  // Binds the tensors that are still read, in the types that their readers compute in.
  BoundProgram bind() {
    BoundProgram bound;
    program_.bindings.clear();
    for (ValueId id = 0; id < static_cast<ValueId>(tensors_.size()); ++id) {
      if (!tensors_[id].defined() || readers_[id].empty()) continue;
      program_.bindings.push_back({id, program_.values[id], GraphInput::Kind::constant});
      bound.tensors.push_back(in_type_of_readers(id));
    }
    bound.program = std::move(program_);
    return bound;
  }

  at::Tensor in_type_of_readers(ValueId id) const {
    const at::Tensor& tensor = tensors_[id];
    const bool keeps = !tensor.is_floating_point() || tensor.is_mkldnn() ||
                       std::any_of(readers_[id].begin(), readers_[id].end(), [&](size_t reader) {
                         return program_.calls[reader].name.find("norm") != std::string::npos;
                       });
    return keeps ? tensor : tensor.to(compute_.dtype);
  }

  Program program_;
  Compute compute_;
  std::vector<at::Tensor> tensors_;  // by value; undefined where the program computes it
  std::vector<std::vector<size_t>> readers_;
  std::vector<size_t> producer_;
  std::vector<bool> is_gone_;  // by call
};

}  // namespace

BoundProgram fuse(const Program& program, const Executor::Tensors& tensors,
                  const Compute& compute) {
  return Fuser(program, tensors, compute).fuse();
}

}  // namespace distill
