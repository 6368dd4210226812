"""Classifiers as torch.export writes them, with weights by which pictures differ, and PyTorch's logits.

    python test/parity/judge/graphs.py < question.json

writes the small ones that the tests read into the question's `folder`: NAME.pt2, and for those of `networks`
NAME-SIZE.pixels (uint8, NHWC) and NAME-SIZE.logits (float32); the same for `teacher`, which the lines in `shown` export.
Prints the logits of `vit` for the pictures in `paths`.
"""

import json
import os
import sys
import warnings
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from reference import images, models  # torchvision's, importable beside any build of torch
from torch.export import Dim, export, save

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH, EXPORTED_BATCH = 2, 4


def pictures(count, size):
    """Noise of two scales, so that pictures still differ after pooling: uint8 (count, 3, size, size)."""
    coarse = F.interpolate(torch.rand(count, 3, 5, 5), size=(size, size), mode="nearest")
    return ((0.7 * coarse + 0.3 * torch.rand(count, 3, size, size)) * 255).round().to(torch.uint8)


def normalized(pixels):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


@torch.no_grad()
def logits_of(model, pixels):
    answer = model(normalized(pixels))
    return answer if isinstance(answer, torch.Tensor) else answer["logits"]


@torch.no_grad()
def fill(model, size, batch=8):
    """Draws constant weights anew, such as a last layer of zeros; gives BatchNorm the statistics of other pictures, and the
    logits in evaluation mode, in which it leaves the model, a standard deviation of 2."""
    for parameter in model.parameters():
        first = parameter.flatten()[0]
        if (parameter == first).all():
            parameter.normal_(0, 0.1) if first == 0 else parameter.uniform_(0.5, 1.5)
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        model(normalized(pictures(batch, size)))
    for norm, momentum in zip(norms, momenta):
        norm.eval()
        norm.momentum = momentum
    last = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    last.weight.mul_(2 / logits_of(model, pictures(2, size)).std().item())
    return model


def exported(model, size, dtype=torch.float32, dynamic=("batch",)):
    """The model as an exported program, for any batch; for any size from 33 on where `dynamic` names all three."""
    shapes = {i: Dim(name, min=33 if i > 0 else 1) for i, name in zip((0, 2, 3), dynamic)}
    return export(model, (torch.randn(EXPORTED_BATCH, 3, size, size, dtype=dtype),), dynamic_shapes=(shapes,))


def resnet(classes):
    return models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)


def vit(classes):
    return models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=classes)


def swin(classes, version=1):
    swin = models.swin_transformer
    options = {"block": swin.SwinTransformerBlockV2, "downsample_layer": swin.PatchMergingV2} if version == 2 else {}
    return models.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], num_classes=classes, **options)


def convnext(classes):
    sizes = [models.convnext.CNBlockConfig(8, 16, 1), models.convnext.CNBlockConfig(16, None, 1)]
    return models.ConvNeXt(sizes, num_classes=classes)


class AsDictionary(nn.Module):
    """Returns its logits among other results, as Hugging Face's models do."""

    def __init__(self, classes):
        super().__init__()
        self.network = resnet(classes)

    def forward(self, x):
        return {"hidden": x[:, :, ::2, ::2], "logits": self.network(x)}


NETWORKS = {
    "resnet": resnet,
    "vit": vit,
    "swin": swin,
    "swin v2": lambda classes: swin(classes, version=2),
    "convnext": convnext,
    "shufflenet": lambda classes: models.shufflenet_v2_x0_5(num_classes=classes),
    "mobilenet": lambda classes: models.mobilenet_v3_small(num_classes=classes),
    "dictionary": AsDictionary,
}


def small(name, size, classes, train=False, half=False, decomposed=False, dynamic=("batch",), sizes=None):
    """A network, its exported program, in one of the ways in which they are written, and sizes of pictures."""
    model = fill(NETWORKS[name](classes), size)
    if half:
        model.half()
    model.train(train)
    program = exported(model, size, torch.float16 if half else torch.float32, dynamic)
    if decomposed:
        program = program.run_decompositions()
    return model.float().eval(), program, sizes or [size]


class Refused(nn.Module):
    """A classifier that does something else before."""

    def __init__(self, before):
        super().__init__()
        self.before = before
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.Flatten(), nn.LazyLinear(7))
        self.network(torch.zeros(1, 3, 32, 32))

    def forward(self, x):
        return self.network(self.before(x))


class TwoInputs(Refused):
    def forward(self, x, y):
        return self.network(self.before(x, y))


def branch(x):
    return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


def refused(name):
    images = torch.randn(EXPORTED_BATCH, 3, 32, 32)
    batch = {0: Dim("batch")}
    if name == "fixed batch":
        return export(Refused(torch.sin).eval(), (images,))
    if name == "two inputs":
        return export(TwoInputs(torch.add).eval(), (images, images), dynamic_shapes=(batch, batch))
    if name == "features":
        return export(nn.Conv2d(3, 4, 3), (images,), dynamic_shapes=(batch,))
    before = {
        "unknown operator": lambda x: torch.fft.fft2(x).abs(),
        "random": lambda x: x + torch.rand_like(x),
        "control flow": branch,
    }[name]
    return exported(Refused(before).eval(), 32)


def write_answers(folder, name, model, sizes):
    """Pictures of each size, and the model's logits."""
    for size in sizes:
        pixels = pictures(BATCH, size)
        rows = pixels.permute(0, 2, 3, 1).contiguous()
        Path(folder, f"{name}-{size}.pixels").write_bytes(rows.numpy().tobytes())
        Path(folder, f"{name}-{size}.logits").write_bytes(logits_of(model, pixels).numpy().tobytes())


def main(q):
    folder = q["folder"]
    made = {}
    for name, options in q["networks"].items():
        torch.manual_seed(0)
        made[name], program, sizes = small(**options)
        save(program, f"{folder}/{name}.pt2")
        write_answers(folder, name, made[name], sizes)
    for name in q["refused"]:
        save(refused(name), f"{folder}/{name}.pt2")
    os.chdir(folder)
    exec(q["shown"], {"torch": torch, "model": made["resnet"]})  # writes teacher.pt2
    write_answers(folder, "teacher", made["resnet"], [224])
    with torch.no_grad():
        return made["vit"](images(q)).tolist()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(main(json.load(sys.stdin))))
