"""Operators to be converted to ONNX, by group and name: functions of a module with weights and of pictures (N, 3, 8, 8)."""

import torch
from torch.nn import functional as F


def written(make_view, change):
    """A copy of the pictures, written to in place through a view of it."""

    def function(m, x):
        y = x.clone()
        before = y[:, 1:]  # made before the write, read after it
        change(make_view(y))
        return torch.cat([y, before], 1)

    return function


def per_picture(x, value):
    """A value that does not depend on the pictures, beside each."""
    return value.flatten().expand(x.shape[0], -1)


def grid(m, x):
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    return x + rows * 0.1 - columns


CONVOLUTIONS = {
    "strided": lambda m, x: F.conv2d(x, m.weight, stride=2, padding=1),
    "same": lambda m, x: F.conv2d(x, m.weight[:, :, :2, :2], padding="same"),
    "valid": lambda m, x: F.conv2d(x, m.weight, m.mean.repeat(2), padding="valid", dilation=2),
    "depthwise": lambda m, x: F.conv2d(x, m.weight[:3, :1], m.mean, groups=3),
    "transposed": lambda m, x: F.conv_transpose2d(x, m.weight[:3], stride=2, padding=1, output_padding=1),
    "conv1d": lambda m, x: F.conv1d(x.flatten(2), m.weight[..., 0], stride=3, padding=1),
    "standardized": lambda m, x: F.conv2d(
        x, F.batch_norm(m.weight.reshape(1, 6, -1), None, None, training=True, eps=1e-6).reshape_as(m.weight)
    ),
}

NORMALIZATIONS = {
    "batch_norm": lambda m, x: F.batch_norm(x, m.mean, m.variance, m.mean, m.variance),
    "batch_norm_plain": lambda m, x: F.batch_norm(x, m.mean, m.variance, eps=1e-3),
    "batch_norm_flat": lambda m, x: F.batch_norm(x.mean((2, 3)), m.mean, m.variance, m.variance),
    "layer_norm": lambda m, x: F.layer_norm(x, [8], m.matrix[0], m.matrix[1], 1e-6),
    "layer_norm_plain": lambda m, x: F.layer_norm(x, [8, 8]),
    "layer_norm_unbiased": lambda m, x: F.layer_norm(x, [8], m.matrix[0]),
    "group_norm": lambda m, x: F.group_norm(x.repeat(1, 2, 1, 1), 3, m.mean.repeat(2), m.variance.repeat(2)),
    "group_norm_of_one": lambda m, x: F.group_norm(x, 1, m.variance),
    "instance_norm": lambda m, x: F.instance_norm(x, weight=m.variance, bias=m.mean),
    "rms_norm": lambda m, x: F.rms_norm(x, [8], m.matrix[0]),
    "response_norm": lambda m, x: F.local_response_norm(x, 3, 0.1, 0.5, 2),
    "normalize": lambda m, x: F.normalize(x, dim=-1),
}

ACTIVATIONS = {
    name: (lambda function: lambda m, x: function(x * 3))(function)
    for name, function in {
        "relu": F.relu,
        "relu6": F.relu6,
        "hardtanh": lambda x: F.hardtanh(x, -0.5, 2),
        "silu": F.silu,
        "mish": F.mish,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "hardswish": F.hardswish,
        "hardsigmoid": F.hardsigmoid,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "softsign": F.softsign,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
        "leaky_relu_whole": lambda x: F.leaky_relu(x, 1),
        "elu": lambda x: F.elu(x, 0.7),
        "celu": lambda x: F.celu(x, 2),
        "selu": F.selu,
        "softplus": F.softplus,
        "softplus_sharp": lambda x: F.softplus(x, 2),
        "hardshrink": F.hardshrink,
        "softshrink": lambda x: F.softshrink(x, 0.3),
        "tanhshrink": F.tanhshrink,
        "threshold": lambda x: F.threshold(x, 0.1, 20),
        "logsigmoid": F.logsigmoid,
        "glu": lambda x: F.glu(x, -1),
        "softmax": lambda x: F.softmax(x, 1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "relu_": lambda x: F.relu(x.clone(), inplace=True),
        "silu_": lambda x: F.silu(x.clone(), inplace=True),
        "hardswish_": lambda x: F.hardswish(x.clone(), inplace=True),
    }.items()
} | {"prelu": lambda m, x: F.prelu(x, m.mean)}

POOLINGS = {
    "max": lambda m, x: F.max_pool2d(x, 3, 2, 1),
    "max_ceil": lambda m, x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "max_ceil_padded": lambda m, x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True),
    "max_1d": lambda m, x: F.max_pool1d(x.flatten(2), 3, 2),
    "adaptive_max_1d": lambda m, x: F.adaptive_max_pool1d(x.flatten(2), 4),
    "im2col": lambda m, x: F.unfold(x, 3, padding=1, stride=2),
    "unfold": lambda m, x: x.unfold(2, 4, 2).unfold(3, 3, 1),
    "max_dilated": lambda m, x: F.max_pool2d(x, 2, 1, dilation=3),
    "average": lambda m, x: F.avg_pool2d(x, 3),
    "average_padded": lambda m, x: F.avg_pool2d(x, 3, 2, 1),
    "average_excluding": lambda m, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "average_ceil": lambda m, x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "average_ceil_padded": lambda m, x: F.avg_pool2d(x, 4, 3, 1, ceil_mode=True),
    "average_ceil_excluding": lambda m, x: F.avg_pool2d(x, 4, 3, 1, ceil_mode=True, count_include_pad=False),
    "average_1d": lambda m, x: F.avg_pool1d(x.flatten(2), 4),
    "adaptive_to_1": lambda m, x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_to_same": lambda m, x: F.adaptive_avg_pool2d(x, (8, None)),
    "adaptive_to_divisor": lambda m, x: F.adaptive_avg_pool2d(x, (4, 2)),
    "adaptive_to_other": lambda m, x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive_to_more": lambda m, x: F.adaptive_avg_pool2d(x, 12),
    "adaptive_1d": lambda m, x: F.adaptive_avg_pool1d(x.flatten(2), 5),
    "adaptive_max": lambda m, x: F.adaptive_max_pool2d(x, 1),
    "adaptive_max_to_divisor": lambda m, x: F.adaptive_max_pool2d(x, 4),
}

ARITHMETIC = {
    "add": lambda m, x: torch.add(x, m.matrix, alpha=2) + 1,
    "sub": lambda m, x: 1 - x - m.matrix,
    "rsub": lambda m, x: torch.rsub(x, m.matrix, alpha=3),
    "mul": lambda m, x: x * m.matrix * 0.5,
    "div": lambda m, x: x / 3 / (m.variance.view(3, 1, 1) + 1),
    "div_floor": lambda m, x: torch.div(x, 0.3, rounding_mode="floor"),
    "div_trunc": lambda m, x: torch.div(x, 0.3, rounding_mode="trunc"),
    "whole": lambda m, x: x * ((m.places * 3 + 1) // 2 % 4).sum(),
    "whole_negative": lambda m, x: x * ((m.places - 5) // 2).sum() + (m.places - 5).remainder(3).sum(),
    "whole_mean": lambda m, x: x * (m.places / 2).mean(),
    "remainder": lambda m, x: torch.remainder(x, 0.7),
    "pow": lambda m, x: x**2 + x.abs() ** 0.5 + 2**x,
    "roots": lambda m, x: (x.abs() + 1).sqrt() + (x.abs() + 1).rsqrt() + (x.abs() + 1).reciprocal(),
    "exponents": lambda m, x: x.exp() + (x.abs() + 1).log() + x.expm1() + x.abs().log1p(),
    "waves": lambda m, x: x.sin() + x.cos() + x.erf() + x.atan(),
    "rounding": lambda m, x: x.floor() + x.ceil() + x.round() + x.sign() + x.trunc(),
    "extremes": lambda m, x: torch.maximum(x, m.matrix) + torch.minimum(x, m.matrix) - (-x),
    "clamp": lambda m, x: x.clamp(-0.5, 0.5) + x.clamp(min=0.1) + x.clamp_max(0.2) + x.clamp_min(-0.3),
    "clamp_tensor": lambda m, x: torch.clamp(x, min=m.matrix),
    "addcmul": lambda m, x: torch.addcmul(x, x, m.matrix, value=0.5) + torch.addcdiv(x, x, m.matrix.exp()),
    "lerp": lambda m, x: torch.lerp(x, m.matrix.expand_as(x), 0.3),
    "comparisons": lambda m, x: (x > 0).float() + (x < 0.5) + (x >= 1) + (x <= m.matrix) + (x == x) + (x != 0),
    "logic": lambda m, x: ((x > 0) & m.mask | ~(x < 1)).logical_not().float() + (x > 0).logical_and(m.mask),
    "where": lambda m, x: torch.where(x > 0, x, 0.25) + torch.where(m.mask, m.matrix, x),
    "masked_fill": lambda m, x: x.masked_fill(m.mask, -100),
    "more_exponents": lambda m, x: x.exp2() + (x.abs() + 1).log2() + (x.abs() + 1).log10() + x.sinh() + x.cosh(),
    "more_waves": lambda m, x: (x / 9).tan() + (x / 9).asin() + (x / 9).acos(),
    "not_finite": lambda m, x: torch.nan_to_num(x / (x > 0), 1, 2, -3) + (x / (x > 0)).isinf() + (0 / (x > 0)).isnan(),
    "square": lambda m, x: x.square(),
}

REDUCTIONS = {
    "mean": lambda m, x: x.mean((2, 3)),
    "mean_kept": lambda m, x: x.mean(-1, keepdim=True),
    "sum": lambda m, x: x.sum(1) + (x > 0).sum(1),
    "extremes": lambda m, x: x.amax((-2, -1)) + x.amin((2, 3)),
    "max": lambda m, x: x.max(1).values + x.min(1, keepdim=True)[0].squeeze(1),
    "argmax": lambda m, x: x.argmax(-1),
    "var": lambda m, x: x.var((2, 3)) + x.var(1, correction=0).mean((1, 2)).unsqueeze(1),
    "std_mean": lambda m, x: torch.cat(torch.std_mean(x, dim=(1, 2), correction=0)),
    "norms": lambda m, x: torch.linalg.vector_norm(x, dim=-1) + x.norm(p=1, dim=2),
    "logsumexp": lambda m, x: x.logsumexp(1),
    "order": lambda m, x: x.topk(3, -1).values + x.sort(1, descending=True)[0][..., :3] + x.topk(3, 2, largest=False).indices.mT,
    "norm_max": lambda m, x: torch.linalg.vector_norm(x, float("inf"), 1),
    "any": lambda m, x: (x > 1).any(-1, keepdim=True).float() + (x > -1).all(1, keepdim=True),
    "cumsum": lambda m, x: x.cumsum(-1),
    "prod": lambda m, x: x.prod(1),
}
REDUCTIONS["std_mean"] = lambda m, x: sum(torch.std_mean(x, dim=(1, 2), correction=0))

SHAPES = {
    "view": lambda m, x: x.view(-1, 6, 32).reshape(x.shape[0], 3, 64),
    "batch_among": lambda m, x: x.reshape(x.shape[0] * 3, 8, 8).transpose(0, 2).reshape(8, -1, x.shape[0], 3).permute(2, 0, 1, 3),
    "unflatten": lambda m, x: x.flatten(2).unflatten(-1, (2, 32)),
    "squeeze": lambda m, x: x[:, :1].squeeze(1).unsqueeze(-1).squeeze((-1, 1)),
    "permute": lambda m, x: x.permute(0, 2, -1, 1).contiguous().movedim(-1, 1).swapaxes(1, 2),
    "movedim": lambda m, x: x.movedim((1, 2), (3, 1)),
    "transpose": lambda m, x: x.transpose(-2, 1) + 0,
    "t": lambda m, x: x.mT @ m.matrix.t(),
    "slices": lambda m, x: x[:, 1:, -3:, 1:7:2],
    "select": lambda m, x: x[:, -1] + x.select(2, 3).mean((1, 2)).view(-1, 1, 1) + x.narrow(3, 2, 4).mean((1, 2, 3)).view(-1, 1, 1),
    "unbind": lambda m, x: sum(part * (i + 1) for i, part in enumerate(x.unbind(1))),
    "diagonal": lambda m, x: x.diagonal(dim1=2, dim2=3) + m.matrix.diagonal(),
    "at_least": lambda m, x: torch.atleast_2d(x) + torch.atleast_2d(m.mean).view(3, 1, 1) + torch.atleast_1d(x.mean((1, 2, 3))).view(-1, 1, 1, 1),
    "chunk": lambda m, x: torch.cat(x.chunk(3, -1)[::-1], -1),
    "split": lambda m, x: x.split(3, 2)[2] + x.split([2, 5, 1], 3)[1].mean((1, 2, 3)).view(-1, 1, 1, 1),
    "expand": lambda m, x: m.matrix.expand(x.shape[0], 2, -1, -1) + x[:, :1],
    "expand_as": lambda m, x: m.mean.view(3, 1, 1).expand_as(x),
    "dropout": lambda m, x: F.dropout(x, 0.5, m.training).detach(),
}

JOININGS = {
    "cat": lambda m, x: torch.cat([x, x[:, :1] * 2, (x > 0)[:, :1]], 1),
    "stacks": lambda m, x: torch.hstack([x, -x]) + torch.vstack([m.matrix[:4], m.matrix[4:]]),
    "pad_1d": lambda m, x: F.pad(x.flatten(2), (2, 3), mode="reflect") + F.pad(x.flatten(2), (2, 3), mode="replicate"),
    "stack": lambda m, x: torch.stack([x, -x], -1),
    "repeat": lambda m, x: x.repeat(1, 2, 1, 1) + m.matrix.repeat(x.shape[0], 1, 1, 1),
    "tile": lambda m, x: x.tile(2, 1),
    "repeat_interleave": lambda m, x: x.repeat_interleave(2, 1),
    "roll": lambda m, x: torch.roll(x, (3, -2), (2, 3)),
    "flip": lambda m, x: x.flip(-1, 2),
    "pad": lambda m, x: F.pad(x, (1, 2, 0, 3)) ,
    "pad_value": lambda m, x: F.pad(x, (1, 0), value=2.5),
    "pad_cut": lambda m, x: F.pad(x, (-1, 2)),
    "pad_reflect": lambda m, x: F.pad(x, (2, 1, 1, 2), mode="reflect"),
    "pad_replicate": lambda m, x: F.pad(x, (2, 1, 1, 2), mode="replicate"),
    "pixel_shuffle": lambda m, x: F.pixel_shuffle(F.pixel_unshuffle(x, 4), 2),
    "channel_shuffle": lambda m, x: F.channel_shuffle(x.repeat(1, 2, 1, 1), 3),
    "triangles": lambda m, x: x.tril() + x.triu(1),
}

INDEXINGS = {
    "index": lambda m, x: x[:, :, m.places],
    "index_two": lambda m, x: x[:, :, m.places, m.places[0]],
    "index_apart": lambda m, x: x[:, m.places[1] % 3, :, m.places[0]].transpose(0, 1),
    "index_front": lambda m, x: per_picture(x, m.matrix[m.places, m.places.t()]),
    "index_select": lambda m, x: x.index_select(-1, m.places[0]),
    "embedding": lambda m, x: per_picture(x, F.embedding(m.places, m.matrix)),
    "one_hot": lambda m, x: x.transpose(2, 3) @ F.one_hot(m.places.flatten(), 8).float().repeat(2, 1),
    "index_put": lambda m, x: per_picture(x, m.matrix.index_put((m.places[0], m.places[1]), m.mean[:2])),
    "scatters": lambda m, x: x.slice_scatter(x[:, :, :2] * 2, 2, 3, 5) + x.select_scatter(m.matrix.expand(x.shape[0], 8, 8), 1, 1),
    "gather": lambda m, x: x.gather(-1, (x > 0).long() * 3),
    "bias_table": lambda m, x: per_picture(x, m.matrix[m.places.view(-1)].view(2, 2, 8).permute(2, 0, 1)),
}

CREATIONS = {
    "full": lambda m, x: x + torch.full((8, 8), 0.5) + torch.zeros(1, dtype=torch.int64) + x.new_ones(3, 1, 1),
    "like": lambda m, x: torch.zeros_like(x) + torch.ones_like(x) * torch.full_like(x, 2),
    "arange": lambda m, x: x + torch.arange(8) + torch.arange(0.5, 4.5, 0.5),
    "zeros_of_batch": lambda m, x: x + torch.zeros(x.shape[0] * 2).view(x.shape[0], 2).sum(1).view(-1, 1, 1, 1),
    "linspace": lambda m, x: x + torch.linspace(-1, 1, 8),
    "meshgrid": grid,
    "types": lambda m, x: (x * 3).to(torch.int64) + (x > 0).float() + m.mask.to(x.dtype),
    "clone": lambda m, x: x.clone() + torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1),
    "constant": lambda m, x: x * torch.tensor(0.3),
}

RESIZINGS = {
    "nearest": lambda m, x: F.interpolate(x, scale_factor=2),
    "nearest_size": lambda m, x: F.interpolate(x, (5, 11)),
    "nearest_exact": lambda m, x: F.interpolate(x, (4, 16), mode="nearest-exact"),
    "bilinear": lambda m, x: F.interpolate(x, (5, 13), mode="bilinear"),
    "bilinear_corners": lambda m, x: F.interpolate(x, (5, 13), mode="bilinear", align_corners=True),
    "bicubic": lambda m, x: F.interpolate(x, (5, 13), mode="bicubic"),
}

ANTIALIAS = {
    "bilinear_antialias": lambda m, x: F.interpolate(x, (3, 5), mode="bilinear", antialias=True),
    "bicubic_antialias": lambda m, x: F.interpolate(x, (3, 5), mode="bicubic", antialias=True),
}

MATRICES = {
    "linear": lambda m, x: F.linear(x, m.matrix, m.matrix[0]),
    "linear_flat": lambda m, x: F.linear(x.mean((1, 2)), m.matrix, m.matrix[0]) + F.linear(x.mean((1, 2)), m.matrix),
    "addmm": lambda m, x: torch.addmm(m.matrix[0], x.mean((1, 2)), m.matrix, beta=2, alpha=3),
    "mm": lambda m, x: torch.mm(x.mean((1, 2)), m.matrix),
    "bmm": lambda m, x: torch.bmm(x[:, 0], x[:, 1]) + torch.baddbmm(x[:, 0], x[:, 1], x[:, 2]),
    "matmul": lambda m, x: x @ m.matrix,
    "einsum": lambda m, x: torch.einsum("b c h w, w k -> b c k h", x, m.matrix),
    "attention": lambda m, x: F.scaled_dot_product_attention(x, x * 2, x + 1),
    "attention_scaled": lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=m.matrix, scale=0.2),
    "attention_masked": lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=m.mask | torch.eye(8).bool()),
}

WRITES = {
    "slice": written(lambda y: y[:, :, 2:5], lambda part: part.fill_(3)),
    "select": written(lambda y: y[:, 1], lambda part: part.add_(1)),
    "slices": written(lambda y: y[:, 1:, :4][..., -2:], lambda part: part.mul_(2)),
    "masked": written(lambda y: y, lambda part: part.__setitem__(part > 0.5, 3.0)),
    "placed": written(lambda y: y.transpose(0, 2), lambda part: part.__setitem__(torch.tensor([1, 4]), 7.0)),
    "reshaped": written(lambda y: y.flatten(2).transpose(1, 2), lambda part: part.sub_(1)),
    "chunk": written(lambda y: y.chunk(2, 2)[1], lambda part: part.zero_()),
    "copy": written(lambda y: y.unbind(1)[2], lambda part: part.copy_(torch.ones(8))),
    "squeezed": written(lambda y: y[:, :1].squeeze(1), lambda part: part.clamp_(0, 1)),
    "whole": written(lambda y: y.detach(), lambda part: part.relu_()),
    "reshaped_copy": written(lambda y: y.permute(0, 2, 3, 1).reshape(-1, 3), lambda part: part.mul_(5)),
    "contiguous_copy": written(lambda y: y.transpose(1, 2).contiguous(), lambda part: part.mul_(5)),
    "item": lambda m, x: torch.cat([x, _mask_of_windows(x).expand_as(x)], 1),
}


def _mask_of_windows(x):
    """As Swin's: regions of a constant are numbered in place."""
    mask = x.new_zeros((8, 8))
    count = 0
    for rows in (slice(0, -4), slice(-4, -2), slice(-2, None)):
        for columns in (slice(0, -4), slice(-4, None)):
            mask[rows, columns] = count
            count += 1
    return mask


GROUPS = {
    "convolutions": CONVOLUTIONS,
    "normalizations": NORMALIZATIONS,
    "activations": ACTIVATIONS,
    "poolings": POOLINGS,
    "arithmetic": ARITHMETIC,
    "reductions": REDUCTIONS,
    "shapes": SHAPES,
    "joinings": JOININGS,
    "indexings": INDEXINGS,
    "creations": CREATIONS,
    "resizings": RESIZINGS,
    "antialias": ANTIALIAS,
    "matrices": MATRICES,
    "writes": WRITES,
}
