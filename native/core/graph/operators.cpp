#include "core/graph/operators.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace distill {
namespace {

using enum OperatorKind;

// A dot stands between an operator and its overload. An operator with an underscore at its end
// works in place.
struct Allowed {
  OperatorKind kind;
  std::string_view targets;
};

constexpr Allowed allowed[] = {
    // Convolutions and matrix products.
    {plain,
     "conv1d conv2d conv3d conv2d.padding conv1d.padding convolution conv_transpose2d.input "
     "linear addmm addmm_ mm bmm matmul baddbmm dot mv einsum"},
    // Normalisation.
    {batch_norm,
     "batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
     "_native_batch_norm_legit_functional _batch_norm_with_update "
     "_batch_norm_with_update_functional _batch_norm_no_update cudnn_batch_norm"},
    {plain,
     "layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm "
     "linalg_vector_norm norm.ScalarOpt_dim norm.Scalar"},
    // Dropout.
    {dropout, "dropout dropout_ native_dropout"},
    {feature_dropout, "feature_dropout feature_dropout_"},
    // Activations.
    {plain,
     "relu relu_ relu6 relu6_ hardtanh hardtanh_ hardswish hardswish_ hardsigmoid hardsigmoid_ "
     "silu silu_ gelu gelu_ elu elu_ celu celu_ selu selu_ mish mish_ leaky_relu leaky_relu_ "
     "prelu sigmoid sigmoid_ tanh tanh_ softplus log_sigmoid hardshrink softshrink "
     "threshold threshold_ glu softmax.int _softmax log_softmax.int _log_softmax"},
    // Attention.
    {plain, "scaled_dot_product_attention"},
    // Pooling and resampling.
    {plain,
     "max_pool2d max_pool2d_with_indices avg_pool2d adaptive_avg_pool2d _adaptive_avg_pool2d "
     "adaptive_max_pool2d max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d "
     "upsample_nearest2d upsample_nearest2d.vec _upsample_nearest_exact2d "
     "_upsample_nearest_exact2d.vec upsample_bilinear2d upsample_bilinear2d.vec "
     "_upsample_bilinear2d_aa _upsample_bilinear2d_aa.vec upsample_bicubic2d "
     "upsample_bicubic2d.vec _upsample_bicubic2d_aa _upsample_bicubic2d_aa.vec pixel_shuffle "
     "pixel_unshuffle channel_shuffle im2col unfold"},
    // Elementwise arithmetic.
    {plain,
     "add.Tensor add_.Tensor add.Scalar add_.Scalar sub.Tensor sub_.Tensor sub.Scalar sub_.Scalar "
     "rsub.Scalar rsub.Tensor mul.Tensor mul_.Tensor mul.Scalar mul_.Scalar div.Tensor div_.Tensor "
     "div.Scalar div_.Scalar div.Tensor_mode div.Scalar_mode div_.Tensor_mode floor_divide "
     "floor_divide.Scalar remainder.Scalar remainder.Tensor pow.Tensor_Scalar pow_.Scalar "
     "pow.Tensor_Tensor pow.Scalar exp exp_ exp2 expm1 log log_ log2 log10 log1p sqrt sqrt_ rsqrt "
     "rsqrt_ square neg neg_ abs abs_ sign reciprocal reciprocal_ erf erf_ erfinv sin cos tan asin "
     "acos atan atan2 sinh cosh floor floor_ ceil ceil_ round trunc clamp clamp_ clamp.Tensor "
     "clamp_min clamp_min_ clamp_max clamp_max_ maximum minimum addcmul addcmul_ addcdiv addcdiv_ "
     "lerp.Scalar lerp.Tensor nan_to_num"},
    // Comparisons, masks and selections.
    {plain,
     "eq.Scalar eq.Tensor ne.Scalar ne.Tensor lt.Scalar lt.Tensor le.Scalar le.Tensor gt.Scalar "
     "gt.Tensor ge.Scalar ge.Tensor logical_not logical_and logical_or logical_xor bitwise_not "
     "bitwise_and.Tensor bitwise_or.Tensor bitwise_and.Scalar bitwise_or.Scalar where.self "
     "where.ScalarOther where.ScalarSelf where.Scalar masked_fill.Scalar masked_fill.Tensor "
     "masked_fill_.Scalar masked_fill_.Tensor tril triu isnan isinf"},
    // Reductions.
    {plain,
     "mean mean.dim sum sum.dim_IntList amax amin max.dim min.dim max.other min.other argmax "
     "argmin var.correction var.dim std.correction std.dim var_mean.correction cumsum prod.dim_int "
     "logsumexp any any.dim all all.dim topk sort"},
    // Shapes.
    {plain,
     "view _unsafe_view view_copy reshape flatten.using_ints unflatten.int permute permute_copy "
     "transpose.int transpose_copy.int t numpy_T movedim.int movedim.intlist swapaxes squeeze "
     "squeeze.dim squeeze.dims squeeze_copy.dim squeeze_copy.dims unsqueeze unsqueeze_ "
     "unsqueeze_copy expand expand_copy expand_as repeat repeat_interleave.self_int tile "
     "contiguous clone detach detach_ detach_copy alias alias_copy lift_fresh_copy lift_fresh "
     "broadcast_to view_as reshape_as atleast_1d atleast_2d"},
    // Parts of tensors.
    {plain,
     "slice.Tensor slice_copy.Tensor select.int select_copy.int narrow index.Tensor index_select "
     "gather take_along_dim embedding roll flip cat concat stack hstack vstack chunk "
     "split.Tensor split_copy.Tensor split.sizes split_with_sizes split_with_sizes_copy "
     "tensor_split.sections unbind.int unbind_copy.int unsafe_chunk unsafe_split.Tensor diagonal "
     "select_scatter slice_scatter index_put index_put_ copy copy_ fill.Scalar fill_.Scalar "
     "fill_.Tensor zero_ pad constant_pad_nd reflection_pad2d replication_pad2d reflection_pad1d "
     "replication_pad1d"},
    // Fresh tensors and types.
    {plain,
     "zeros ones full zeros_like ones_like full_like new_zeros "
     "new_ones new_full arange arange.start arange.start_step linspace scalar_tensor eye "
     "eye.m to.dtype to.dtype_layout to.device to.other _to_copy type_as meshgrid "
     "meshgrid.indexing one_hot"},
    // Checks.
    {assertion,
     "_assert_scalar _assert_tensor_metadata _assert_async _assert_async.msg "
     "_functional_assert_async.msg sym_constrain_range sym_constrain_range_for_size "
     "_functional_sym_constrain_range _functional_sym_constrain_range_for_size"},
    // Sizes.
    {scalar, "sym_size.int sym_numel"},
};

// What Python computes with sizes.
constexpr std::string_view scalar_functions[] = {
    "_operator.add",     "_operator.sub",  "_operator.mul",   "_operator.floordiv", "_operator.mod",
    "_operator.truediv", "_operator.neg",  "_operator.pos",   "_operator.pow",      "_operator.eq",
    "_operator.ne",      "_operator.lt",   "_operator.le",    "_operator.gt",       "_operator.ge",
    "_operator.and_",    "_operator.or_",  "math.trunc",      "math.floor",         "math.ceil",
    "torch.sym_max",     "torch.sym_min",  "torch.sym_int",   "torch.sym_float",    "torch.sym_not",
    "torch.sym_ite",     "torch.sym_sqrt", "torch._sym_sqrt",
};

// By target.
std::unordered_map<std::string, Operator> make_table() {
  std::unordered_map<std::string, Operator> table;
  for (const auto& [kind, targets] : allowed) {
    for (size_t begin = 0; begin < targets.size();) {
      const size_t end = std::min(targets.size(), targets.find(' ', begin));
      const std::string_view target = targets.substr(begin, end - begin);
      begin = end + 1;
      const size_t dot = std::min(target.size(), target.find('.'));
      const std::string_view overload =
          dot == target.size() ? std::string_view() : target.substr(dot + 1);
      const std::string key = "torch.ops.aten." + std::string(target.substr(0, dot)) + "." +
                              std::string(overload.empty() ? "default" : overload);
      table.emplace(key, Operator{target.substr(0, dot), overload, kind});
    }
  }
  for (const std::string_view function : scalar_functions) {
    table.emplace(function, Operator{function, "", scalar});
  }
  return table;
}

}  // namespace

bool returns_input_unsaid(std::string_view name) {
  constexpr std::string_view names[] = {"atleast_1d", "atleast_2d",     "type_as",
                                        "einsum",     "unsafe_chunk",   "unsafe_split",
                                        "meshgrid",   "channel_shuffle"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

const Operator* find_operator(std::string_view target) {
  static const auto table = make_table();
  const auto found = table.find(std::string(target));
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace distill
